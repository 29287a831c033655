import { z } from 'zod'
import { deleteName, getName, listNames, listRecords, type SavedName } from '../catalog/names.ts'
import { EVENTS, NAMES, type Wakes } from '../catalog/wake.ts'
import { HoldfastError, hasCode } from '../core/errors.ts'
import { parseIpnsName } from '../naming/ipns-name.ts'
import { MAX_RECORD_BYTES } from '../naming/ipns-record.ts'
import { readBody, requireType } from '../runtime/http/body.ts'
import { bytes, eitherAnswer, EMPTY, json } from '../runtime/http/route.ts'
import { addName, exportKey, publishRecord, publishValue, type NameStore } from './names-publish.ts'
import {
  etagOf,
  IPNS_RECORD,
  Name,
  NameConflict,
  NamePath,
  nameView,
  NewName,
  NewValue,
  Records,
} from './names-schema.ts'
import { route, type ApiRoute } from './route.ts'

const MAX_PAGE = 1_000
const RECORD_TYPES = /^application\/(vnd\.ipfs\.ipns-record|octet-stream)$/i

/** IPNS names of the caller's account. A path takes the name in any form, or its label. */
export function nameRoutes({ wakes, ...store }: NameStore & { wakes: Wakes }): ApiRoute[] {
  const { db } = store

  async function found(tenantId: number, text: string): Promise<SavedName> {
    const saved = await getName(db, tenantId, nameKeyOf(text))
    if (saved === undefined) throw new HoldfastError('NOT_FOUND', 'There is no such name.')
    return saved
  }

  /** Publishes, and answers how the name is then: to whoever was too late as well. */
  async function publish(tenantId: number, saved: SavedName, work: () => Promise<SavedName>) {
    let published: SavedName
    try {
      published = await work()
    } catch (error) {
      if (!hasCode(error, 'CONFLICT')) throw error
      const current = await found(tenantId, saved.name)
      const failure = { reason: 'CONFLICT' as const, details: error.message }
      return { status: 409 as const, headers: etagOf(current), body: { error: failure, current: nameView(current) } }
    }
    wakes.announce(NAMES)
    wakes.announce(EVENTS)
    return { status: 200 as const, headers: etagOf(published), body: nameView(published) }
  }

  return [
    route(
      {
        method: 'POST',
        path: '/v1/names',
        summary: 'Make a name with a key that is kept here, import one, or have one kept alive whose key is elsewhere',
        access: 'names:write',
        body: json(NewName),
        answers: { 201: Name },
      },
      async ({ caller, body }) => {
        const saved = await found(caller.tenantId, await addName(store, caller.tenantId, body))
        wakes.announce(NAMES)
        wakes.announce(EVENTS)
        return { status: 201, headers: etagOf(saved), body: nameView(saved) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/names',
        summary: 'Names of the account, in the order of their text',
        access: 'names:read',
        query: z.object({
          after: z.string().max(512).default('').describe('The last name of the page before'),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(MAX_PAGE),
        }),
        answers: { 200: z.object({ names: z.array(Name) }) },
      },
      async ({ caller, query }) => {
        const names = await listNames(db, caller.tenantId, query)
        return { status: 200, body: { names: names.map(nameView) } }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/names/{name}',
        summary: 'One name; its ETag is the sequence',
        access: 'names:read',
        params: NamePath,
        answers: { 200: Name },
      },
      async ({ caller, params }) => {
        const saved = await found(caller.tenantId, params.name)
        return { status: 200, headers: etagOf(saved), body: nameView(saved) }
      },
    ),
    route(
      {
        method: 'PUT',
        path: '/v1/names/{name}',
        summary: 'Publish a value under the next sequence; with If-Match only while the sequence is that one',
        access: 'names:write',
        params: NamePath,
        body: json(NewValue),
        answers: { 200: Name, 409: NameConflict },
      },
      async ({ caller, params, body, header }) => {
        const { tenantId } = caller
        const saved = await found(tenantId, params.name)
        const expected = body.sequence ?? sequenceIn(header('if-match'))
        return await publish(tenantId, saved, () => publishValue(store, tenantId, { saved, wanted: body, expected }))
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/v1/names/{name}',
        summary: 'Forget a name and its key for good; records that are out stay valid until they end',
        access: 'names:write',
        params: NamePath,
        answers: { 204: EMPTY },
      },
      async ({ caller, params }) => {
        await deleteName(db, caller.tenantId, await found(caller.tenantId, params.name))
        return { status: 204 }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/names/{name}/records',
        summary: `What was published of a name; with Accept: ${IPNS_RECORD} the newest record as it was signed`,
        access: 'names:read',
        params: NamePath,
        answers: { 200: eitherAnswer(Records, IPNS_RECORD) },
      },
      async ({ caller, params, header }) => {
        const saved = await found(caller.tenantId, params.name)
        const headers = { ...etagOf(saved), Vary: 'Accept' }
        if (header('accept')?.includes(IPNS_RECORD) !== true) {
          const records = (await listRecords(db, saved)).map(({ target, ...rest }) => ({ ...rest, value: target }))
          return { status: 200, headers, body: { records } }
        }
        if (saved.record === null) throw new HoldfastError('NOT_FOUND', 'The name has no record yet.')
        return { status: 200, headers, body: saved.record }
      },
    ),
    route(
      {
        method: 'PUT',
        path: '/v1/names/{name}/records',
        summary: 'Publish a record that the owner of the key signed; a newer one that is known stays',
        access: 'names:write',
        params: NamePath,
        body: bytes(IPNS_RECORD),
        answers: { 200: Name, 409: NameConflict },
      },
      async ({ caller, params, body, header }) => {
        const { tenantId } = caller
        const saved = await found(tenantId, params.name)
        requireType(body.stream, RECORD_TYPES, IPNS_RECORD)
        const record = await readBody(body.stream, MAX_RECORD_BYTES)
        const expected = sequenceIn(header('if-match'))
        return await publish(tenantId, saved, () => publishRecord(store, tenantId, { saved, bytes: record, expected }))
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/names/{name}:export',
        summary: "The private key of a hosted name, in libp2p's form as `ipfs key import` takes it",
        access: 'tokens:admin',
        params: NamePath,
        answers: { 200: z.object({ name: z.string(), key: z.base64() }) },
      },
      async ({ caller, params }) => {
        const saved = await found(caller.tenantId, params.name)
        return { status: 200, body: { name: saved.name, key: await exportKey(store, caller.tenantId, saved) } }
      },
    ),
  ]
}

/** How a name is asked for that a path holds: what is no name of a key is a label. */
export function nameKeyOf(text: string): { name: string } | { label: string } {
  try {
    return { name: parseIpnsName(text).text }
  } catch (cause) {
    if (!hasCode(cause, 'INVALID_NAME')) throw cause
    return { label: text }
  }
}

/** `"7"` or `7`; `*` and nothing expect nothing. @throws BAD_REQUEST */
function sequenceIn(ifMatch: string | undefined): string | undefined {
  if (ifMatch === undefined || ifMatch === '*') return undefined
  const sequence = /^"?(0|[1-9]\d{0,19})"?$/.exec(ifMatch)?.[1]
  if (sequence === undefined) throw new HoldfastError('BAD_REQUEST', 'If-Match takes a sequence, such as "7".')
  return sequence
}
