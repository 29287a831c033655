/** What a script can tell from the exit code. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** Token missing, wrong, without the scope, or over the quota. */
  auth: 3,
  notFound: 4,
  /** Bytes did not match their CID. */
  verification: 5,
  /** The wait ended; the operation goes on, and its id was printed. */
  timeout: 6,
  unreachable: 7,
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends a command with a sentence on standard error and an exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}
