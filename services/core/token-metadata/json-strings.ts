/** A string of a JSON document, with the keys and indexes that lead to it. */
export interface JsonString {
  path: readonly string[]
  value: string
  /** Where its literal begins and ends in the text, with the quotes. */
  start: number
  end: number
}

export type JsonProblem =
  | 'NOT_JSON'
  /** Parsers keep the last of two values in silence, so that readers would not agree on what it says. */
  | 'DUPLICATE_KEY'
  | 'TOO_DEEP'
  | 'TOO_MANY_NODES'

const MAX_JSON_DEPTH = 32
const MAX_JSON_NODES = 4_096

interface Level {
  /** Keys that were seen; undefined in a list. */
  keys: Set<string> | undefined
  /** Where in the level the next value stands. */
  step: string
  isKeyNext: boolean
  index: number
}

/**
 * Every string of a JSON document, in its order, without recursion; the document is given up at the first thing that is
 * wrong, before what comes after it costs anything.
 */
export function jsonStrings(text: string): { strings: JsonString[] } | { problem: JsonProblem } {
  const strings: JsonString[] = []
  const levels: Level[] = []
  let nodes = 0
  for (let at = 0; at < text.length; at++) {
    const level = levels.at(-1)
    const character = text[at] as string
    if (character === '{' || character === '[') {
      levels.push({
        keys: character === '{' ? new Set() : undefined,
        step: '0',
        isKeyNext: character === '{',
        index: 0,
      })
      if (levels.length > MAX_JSON_DEPTH) return { problem: 'TOO_DEEP' }
      nodes += 1
    } else if (character === '}' || character === ']') {
      levels.pop()
    } else if (character === ',' && level !== undefined) {
      level.index += 1
      if (level.keys === undefined) level.step = String(level.index)
      else level.isKeyNext = true
    } else if (character === '"') {
      const end = endOfString(text, at)
      const value = end === undefined ? undefined : parsed(text.slice(at, end))
      if (end === undefined || typeof value !== 'string') return { problem: 'NOT_JSON' }
      if (level?.isKeyNext === true) {
        if (level.keys?.has(value) === true) return { problem: 'DUPLICATE_KEY' }
        level.keys?.add(value)
        level.step = value
        level.isKeyNext = false
      } else {
        nodes += 1
        strings.push({ path: levels.map(({ step }) => step), value, start: at, end })
      }
      at = end - 1
    } else if (!' \t\r\n:,'.includes(character)) {
      nodes += 1
      at = endOfWord(text, at) - 1
    }
    if (nodes > MAX_JSON_NODES) return { problem: 'TOO_MANY_NODES' }
  }
  return parsed(text) === undefined ? { problem: 'NOT_JSON' } : { strings }
}

/** Behind the closing quote. */
function endOfString(text: string, start: number): number | undefined {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at += 1
    else if (code === 0x22) return at + 1
  }
  return undefined
}

/** Behind a number or a word. */
function endOfWord(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && !' \t\r\n:,{}[]"'.includes(text[at] as string)) at++
  return at
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
