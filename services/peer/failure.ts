import { ZodError } from 'zod'
import { HoldfastError } from '../core/errors.ts'
import { STATUS_OF } from '../runtime/http/errors.ts'

export interface Failure {
  status: number
  reason: string
  details: string
}

/** What the caller is told of an error. */
export function failureOf(error: unknown): Failure {
  if (error instanceof HoldfastError) {
    return { status: STATUS_OF[error.code], reason: error.code, details: error.message }
  }
  if (error instanceof ZodError) {
    const [issue] = error.issues
    return { status: 400, reason: 'BAD_REQUEST', details: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}` }
  }
  return { status: 500, reason: 'INTERNAL_ERROR', details: 'The peer process has a defect; its log has the rest.' }
}
