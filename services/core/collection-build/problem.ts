/** Something in a folder that is to become a collection. An error keeps it from being one; a warning may be meant. */
export interface BuildProblem {
  level: 'error' | 'warning'
  code: ProblemCode
  /** Below the folder; empty when it is about all of it. */
  file: string
  /** What is wrong and what to do, for people. */
  message: string
}

export type ProblemCode =
  // what files are called
  | 'NO_TOKEN_NUMBER'
  | 'LEADING_ZEROS'
  | 'HEX_NAME'
  | 'DUPLICATE_TOKEN'
  | 'GAP'
  | 'START'
  | 'SHIFTED'
  | 'LEFT_OUT'
  // what is in metadata
  | 'NOT_UTF8'
  | 'NOT_JSON'
  | 'NO_OBJECT'
  | 'DUPLICATE_KEY'
  | 'TOO_LARGE'
  | 'TOO_COMPLEX'
  | 'SCHEMA'
  | 'NO_NAME'
  | 'NO_IMAGE'
  // where its links lead
  | 'FILE_MISSING'
  | 'CASE_DIFFERS'
  | 'SERVER_LINK'
  | 'GATEWAY_LINK'
  | 'MUTABLE_LINK'
  | 'OTHER_NETWORK'
  | 'BAD_LINK'
  // what is in the other files
  | 'EMPTY_FILE'
  | 'UNUSED_FILE'
  | 'DUPLICATE_FILE'

export function error(code: ProblemCode, file: string, message: string): BuildProblem {
  return { level: 'error', code, file, message }
}

export function warning(code: ProblemCode, file: string, message: string): BuildProblem {
  return { level: 'warning', code, file, message }
}
