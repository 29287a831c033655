import { z } from 'zod'
import type { Database } from '../../catalog/database.ts'
import type { PinAcceptor } from '../../catalog/pins-accept.ts'
import { listPins } from '../../catalog/pins-list.ts'
import { deletePin } from '../../catalog/pins-remove.ts'
import { replacePin } from '../../catalog/pins-replace.ts'
import { getPin } from '../../catalog/pins.ts'
import { RECONCILE, type Wakes } from '../../catalog/wake.ts'
import { HoldfastError } from '../../core/errors.ts'
import { EMPTY, json } from '../../runtime/http/route.ts'
import { route, type ApiRoute } from '../route.ts'
import type { Delegates } from './delegates.ts'
import { ListQuery, statusesOf } from './list-query.ts'
import { MAX_PIN_BODY_BYTES, NewPin, PinResults, PinStatus } from './pin-schema.ts'
import { pinView } from './pin-view.ts'

export interface PinningServiceParts {
  db: Database
  wakes: Wakes
  acceptor: PinAcceptor
  delegates: Delegates
}

export const RequestId = z.object({ requestid: z.uuid() })

/** The IPFS Pinning Service API 1.0.0, under `/psa`. */
export function pinningServiceRoutes({ db, wakes, acceptor, delegates }: PinningServiceParts): ApiRoute[] {
  return [
    route(
      {
        method: 'GET',
        path: '/psa/pins',
        summary: 'List pins, the newest first',
        access: 'pins:read',
        query: ListQuery,
        answers: { 200: PinResults },
      },
      async ({ caller, query }) => {
        const { cid: cids, status: _, ...filters } = query
        const [{ count, exact, pins }, addresses] = await Promise.all([
          listPins(db, caller.tenantId, { ...filters, cids, statuses: statusesOf(query) }),
          delegates(),
        ])
        const headers = { 'X-Total-Exact': String(exact) }
        return { status: 200, headers, body: { count, results: pins.map((pin) => pinView(pin, addresses)) } }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/psa/pins',
        summary: 'Pin content; the same content may be pinned many times',
        access: 'pins:write',
        body: json(NewPin, { maxBytes: MAX_PIN_BODY_BYTES }),
        answers: { 202: PinStatus },
      },
      async ({ caller, body }) => {
        const [pin, addresses] = await Promise.all([acceptor.accept(caller.tenantId, body), delegates()])
        return { status: 202, body: pinView(pin, addresses) }
      },
    ),
    route(
      {
        method: 'GET',
        path: '/psa/pins/{requestid}',
        summary: 'One pin',
        access: 'pins:read',
        params: RequestId,
        answers: { 200: PinStatus },
      },
      async ({ caller, params }) => {
        const pin = (await getPin(db, caller.tenantId, params.requestid)) ?? notFound()
        return { status: 200, body: pinView(pin, await delegates()) }
      },
    ),
    route(
      {
        method: 'POST',
        path: '/psa/pins/{requestid}',
        summary: 'Put another pin in the place of one; what the old one kept stays until the new one is pinned',
        access: 'pins:write',
        params: RequestId,
        body: json(NewPin, { maxBytes: MAX_PIN_BODY_BYTES }),
        answers: { 202: PinStatus },
      },
      async ({ caller, params, body }) => {
        const pin = (await replacePin(db, caller.tenantId, params.requestid, body, wakes)) ?? notFound()
        return { status: 202, body: pinView(pin, await delegates()) }
      },
    ),
    route(
      {
        method: 'DELETE',
        path: '/psa/pins/{requestid}',
        summary: 'Remove a pin, whatever its status',
        access: 'pins:write',
        params: RequestId,
        answers: { 202: EMPTY },
      },
      async ({ caller, params }) => {
        if (!(await deletePin(db, caller.tenantId, params.requestid))) notFound()
        wakes.announce(RECONCILE)
        return { status: 202 }
      },
    ),
  ]
}

export function notFound(): never {
  throw new HoldfastError('NOT_FOUND', 'There is no such pin.')
}
