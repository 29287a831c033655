import { error, warning, type BuildProblem } from './problem.ts'
import type { TokenStandard } from './token-name.ts'

/** What is odd about the numbers of tokens. ERC-1155 numbers as it likes. @param ids ascending, none twice */
export function numberingProblems(ids: readonly bigint[], standard: TokenStandard): BuildProblem[] {
  const [first] = ids
  if (first === undefined || standard === 'erc1155') return []
  const start =
    first > 1n
      ? [warning('START', '', `The first token is ${first}; contracts mostly begin at 0 or 1.`)]
      : ([] as BuildProblem[])
  return [...start, ...gapsIn(ids)]
}

function gapsIn(ids: readonly bigint[]): BuildProblem[] {
  return ids.flatMap((id, index) => {
    const before = ids[index - 1]
    if (before === undefined || id === before + 1n) return []
    const missing = id === before + 2n ? `${before + 1n} is missing` : `${before + 1n} to ${id - 1n} are missing`
    return error('GAP', '', `Between the tokens ${before} and ${id}, ${missing}: add the files, or renumber.`)
  })
}

/** A token, and the number that its image's name is. */
export interface NumberedImage {
  id: bigint
  image: bigint
}

/**
 * Tokens whose images have other numbers: as when one counts from 0 and the other from 1. It may be meant, when images were
 * shuffled.
 */
export function shiftProblems(numbered: readonly NumberedImage[]): BuildProblem[] {
  const shifted = numbered.filter(({ id, image }) => id !== image)
  const [example] = shifted
  if (example === undefined) return []
  const by = example.image - example.id
  const isAlike = shifted.length === numbered.length && shifted.every(({ id, image }) => image - id === by)
  const whose = isAlike ? 'Every token shows' : `${shifted.length} of ${numbered.length} tokens show`
  const hint = isAlike && (by === 1n || by === -1n) ? ' One of them counts from 0 and the other from 1.' : ''
  const message = `${whose} an image of another number, such as token ${example.id} the image ${example.image}.${hint}`
  return [warning('SHIFTED', '', message)]
}
