import type { CID } from 'multiformats/cid'
import { z } from 'zod'
import { PIN_STATUSES, type PinStatus } from '../../core/pin.ts'
import { Timestamp } from '../timestamp.ts'
import { cidOf, MAX_NAME_CHARACTERS, PinMeta } from './pin-schema.ts'
import { storedText } from '../stored-text.ts'

const MAX_CIDS = 10
const MAX_PAGE = 1_000
const DEFAULT_PAGE = 10

/** `a,b,c`; a parameter that is repeated instead counts the same. */
const commaList = z
  .union([z.string(), z.array(z.string())])
  .transform((value) => (Array.isArray(value) ? value.join(',') : value).split(',').filter((part) => part !== ''))

const Cids = commaList.transform((texts, context): CID[] => {
  if (texts.length > MAX_CIDS) {
    context.addIssue({ code: 'custom', message: `at most ${MAX_CIDS} CIDs can be asked for at once` })
    return z.NEVER
  }
  const cids: CID[] = []
  for (const text of texts) {
    const cid = cidOf(text)
    if (typeof cid === 'string') context.addIssue({ code: 'custom', message: cid })
    else cids.push(cid)
  }
  return cids
})

const Statuses = commaList.pipe(z.array(z.enum(PIN_STATUSES)))

const Limit = z
  .string()
  .regex(/^\d{1,4}$/, 'it must be a whole number')
  .transform(Number)
  .pipe(z.number().min(1).max(MAX_PAGE))

const Meta = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text)
    } catch {
      context.addIssue({ code: 'custom', message: 'it must be a JSON object of texts' })
      return z.NEVER
    }
  })
  .pipe(PinMeta)

/** Query of `GET /pins`. */
export const ListQuery = z.object({
  cid: Cids.optional(),
  name: storedText({ max: MAX_NAME_CHARACTERS }).optional(),
  match: z.enum(['exact', 'iexact', 'partial', 'ipartial']).default('exact'),
  status: Statuses.optional(),
  before: Timestamp.optional(),
  after: Timestamp.optional(),
  limit: Limit.default(DEFAULT_PAGE),
  meta: Meta.optional(),
})
export type ListQuery = z.infer<typeof ListQuery>

/**
 * The states that a list shows. Without `status` the specification says both "pinned" and "all that match": it is
 * `pinned` for a bare list, and every state as soon as the client looks for particular pins. `before` turns the page, so
 * it is no filter: the second page of a list must show what the first one showed.
 */
export function statusesOf({ status, cid, name, meta, after }: ListQuery): readonly PinStatus[] {
  if (status !== undefined && status.length > 0) return status
  const looksForSome = [cid, name, meta, after].some((filter) => filter !== undefined)
  return looksForSome ? PIN_STATUSES : ['pinned']
}
