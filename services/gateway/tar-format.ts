/** Entries of a TAR archive (POSIX.1-2001 pax, over ustar headers). */
export interface TarEntry {
  type: 'file' | 'directory' | 'symlink'
  /** Path from the archive's root, with plain slashes, without one at its end. */
  name: string
  /** Bytes that follow; 0 for what is no file. */
  sizeBytes: number
  /** Permission bits. */
  mode: number
  /** Seconds since 1970. */
  mtime: number
  /** Of a symlink. */
  target?: string
}

const BLOCK_BYTES = 512
const TYPE_FLAGS = { file: '0', directory: '5', symlink: '2' } as const
const MAX_NAME_BYTES = 100
/** Eleven octal digits. */
const MAX_OCTAL = 8 ** 11 - 1

/** What stands before an entry's bytes: its header, and before that the pax records for what a header cannot say. */
export function tarHead(entry: TarEntry): Uint8Array {
  const name = entry.type === 'directory' ? `${entry.name}/` : entry.name
  const { target = '' } = entry
  const pax = {
    ...(fits(name) ? {} : { path: name }),
    ...(fits(target) ? {} : { linkpath: target }),
    ...(entry.sizeBytes > MAX_OCTAL ? { size: String(entry.sizeBytes) } : {}),
  }
  const own = header({ ...entry, name, target, flag: TYPE_FLAGS[entry.type] })
  const records = paxRecords(pax)
  if (records.length === 0) return own
  const fields = { name: 'pax', target: '', sizeBytes: records.length, mode: 0o644, mtime: 0, flag: 'x' }
  return Buffer.concat([header(fields), records, tarPadding(records.length), own])
}

/** What fills an entry's bytes up to a whole block. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES)
}

/** The end of an archive: two empty blocks. */
export const TAR_END = new Uint8Array(2 * BLOCK_BYTES)

interface HeaderFields {
  name: string
  target: string
  sizeBytes: number
  mode: number
  mtime: number
  flag: string
}

function header({ name, target, sizeBytes, mode, mtime, flag }: HeaderFields): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES)
  block.write(ascii(name), 0, MAX_NAME_BYTES, 'latin1')
  block.write(octal(mode, 7), 100, 'latin1')
  block.write(octal(0, 7), 108, 'latin1')
  block.write(octal(0, 7), 116, 'latin1')
  block.write(octal(Math.min(sizeBytes, MAX_OCTAL), 11), 124, 'latin1')
  block.write(octal(Math.min(Math.max(0, mtime), MAX_OCTAL), 11), 136, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write(flag, 156, 'latin1')
  block.write(ascii(target), 157, MAX_NAME_BYTES, 'latin1')
  block.write('ustar\u000000', 257, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${octal(sum, 6)}\0 `, 148, 'latin1')
  return block
}

function octal(value: number, digits: number): string {
  return Math.floor(value).toString(8).padStart(digits, '0')
}

function fits(text: string): boolean {
  return text.length <= MAX_NAME_BYTES && /^[\u0020-\u007e]*$/.test(text)
}

/** For readers that know no pax. */
function ascii(text: string): string {
  return text.replaceAll(/[^\u0020-\u007e]/g, '_')
}

function paxRecords(fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(fields).map(([key, value]) => paxRecord(key, value)))
}

/** `length key=value\n`, where the length counts its own digits too. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`)
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}
