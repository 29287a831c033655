import { statusHint } from './denylist-rule.ts'
import { HoldfastError } from './errors.ts'

/** What of a denylist's header changes what its rules do. Its name and description are for people. */
export interface DenylistHeader {
  hintedStatus: 410 | 451 | undefined
}

/**
 * Reads the YAML before `---`. Only scalars at the top and the map `hints` mean something; all other fields are free.
 * @throws BAD_REQUEST when a line at the top is no field, or the version is not 1
 */
export function parseHeader(lines: readonly string[]): DenylistHeader {
  let hintedStatus: 410 | 451 | undefined
  let isInHints = false
  for (const line of lines) {
    if (/^\s*(#.*)?$/.test(line)) continue
    const [, indent = '', key = '', value = ''] = /^(\s*)([\w.-]+|"[^"]*"|'[^']*')\s*:(?:\s+(.*))?$/.exec(line) ?? []
    if (key === '') {
      if (/^\s|^-/.test(line)) continue
      throw new HoldfastError('BAD_REQUEST', `The header of the denylist is no YAML: ${line.slice(0, 80)}`)
    }
    if (indent === '') {
      isInHints = key === 'hints'
      if (key === 'version' && unquoted(value) !== '1') {
        throw new HoldfastError('BAD_REQUEST', 'Only version 1 of the compact denylist format is supported.')
      }
    } else if (isInHints) {
      hintedStatus = statusHint(unquoted(key), unquoted(value)) ?? hintedStatus
    }
  }
  return { hintedStatus }
}

function unquoted(text: string): string {
  const plain = text.replace(/\s+#.*$/, '').trim()
  return /^(["'])(.*)\1$/.exec(plain)?.[2] ?? plain
}
