import { z } from 'zod'
import type { Authenticator } from '../catalog/authenticator.ts'
import type { Database } from '../catalog/database.ts'
import type { PinAcceptor } from '../catalog/pins-accept.ts'
import type { MasterKeys } from '../catalog/master-key.ts'
import type { Seal } from '../catalog/sealed-secret.ts'
import type { Caller } from '../catalog/tokens.ts'
import type { Wakes } from '../catalog/wake.ts'
import type { NodeIdentity } from '../core/node-key.ts'
import type { AnchorKind } from '../core/proof/proof-file.ts'
import type { Signer } from '../core/proof/typed-data.ts'
import { GIB } from '../core/units.ts'
import { door, type Door } from '../runtime/http/mount.ts'
import { openApi } from '../runtime/http/openapi.ts'
import type { Log } from '../runtime/log.ts'
import { accessRoutes } from './access.ts'
import { collectionRoutes } from './collections.ts'
import { denylistRoutes } from './denylists.ts'
import { eventRoutes } from './events.ts'
import { followRoutes } from './follows.ts'
import { guardRoutes } from './guards.ts'
import { createGate, DEFAULT_GATE_LIMITS, type GateLimits } from './gate.ts'
import { landingRoute } from './landing.ts'
import { nameRoutes } from './names.ts'
import { importRoute } from './node-import.ts'
import { nodeRoutes } from './nodes.ts'
import { batchRoute } from './pins/batch.ts'
import { createDelegates } from './pins/delegates.ts'
import { detailsRoute } from './pins/details.ts'
import { pinningServiceRoutes } from './pins/pinning-service.ts'
import { policyRoutes } from './policies.ts'
import { proofRoutes } from './proofs.ts'
import { route, type ApiRoute } from './route.ts'
import type { DomainLinks } from './site-domain.ts'
import type { GatewayHost } from '../core/gateway-host.ts'
import { siteRoutes } from './sites.ts'
import { tokenRoutes } from './tokens.ts'
import { IntakeClient } from './uploads/intake-client.ts'
import { keepDocument, type KeepDocument } from './uploads/keep-document.ts'
import { uploadRoutes } from './uploads/uploads.ts'
import { usageRoutes } from './usage.ts'
import { webhookRoutes } from './webhooks.ts'

export interface ApiParts {
  db: Database
  wakes: Wakes
  acceptor: PinAcceptor
  authenticator: Authenticator
  /** Proved to nodes when uploads are sent to them; the control plane must be known to them as a controller by it. */
  identity: NodeIdentity
  /** Of the keys of signed URLs and the secrets of webhooks; undefined: there are none. */
  seal?: Seal | undefined
  /** Of the keys of hosted names; undefined: there are none. */
  masters?: MasterKeys | undefined
  /** Where links of domains come from, for the check of sites' domains. */
  links: DomainLinks
  /** Whether a chain is read, so that collections can be verified. */
  readsChain: boolean
  /** Signs proofs and reports; undefined: there are none that are signed. */
  signer?: Signer | undefined
  /** What proofs can be anchored in. */
  anchorKinds?: readonly AnchorKind[]
  /** Whether webhooks may be on this machine. */
  allowsLoopbackWebhooks?: boolean
  /** How long nothing comes of a stream of events at most. */
  eventHeartbeatMs?: number
  /** The gateways' host table: which URLs sites have. */
  gatewayHosts: readonly GatewayHost[]
  log: Log
  limits?: Partial<ApiLimits>
}

export interface ApiLimits extends GateLimits {
  /** Bytes of one upload, where the account has no lower limit. */
  uploadBytes: number
}

const DEFAULT_API_LIMITS: ApiLimits = { ...DEFAULT_GATE_LIMITS, uploadBytes: 1_024 * GIB }

export interface Api extends Disposable {
  door: Door
  /** Keeps a document for an account; see `keepDocument`. */
  keep: KeepDocument
  routes: readonly ApiRoute[]
}

const ABOUT = {
  title: 'Holdfast',
  version: '1.0.0',
  description: 'IPFS pinning and DApp storage: pins, uploads, policies and nodes.',
}

/** The public API: its routes, and who may take them. Disposing it closes its connections to nodes. */
export function createApi(parts: ApiParts): Api {
  const limits = { ...DEFAULT_API_LIMITS, ...parts.limits }
  const intake = new IntakeClient(parts.identity)
  const delegates = createDelegates(parts.db, parts.identity.publicKey)
  const stores = { ...parts, intake, maxUploadBytes: limits.uploadBytes }
  const keep: KeepDocument = (tenantId, document) => keepDocument(stores, tenantId, document)
  const shared = { ...stores, delegates, keep, anchorKinds: parts.anchorKinds ?? ['none'] }
  const routes: ApiRoute[] = [
    ...pinningServiceRoutes(shared),
    batchRoute(shared),
    detailsRoute(shared),
    ...uploadRoutes(shared),
    ...tokenRoutes(shared),
    ...policyRoutes(shared),
    ...nodeRoutes(shared),
    importRoute(shared),
    ...denylistRoutes(shared),
    ...accessRoutes(shared),
    ...nameRoutes(shared),
    ...followRoutes(shared),
    ...siteRoutes(shared),
    ...collectionRoutes(shared),
    ...proofRoutes(shared),
    ...guardRoutes(shared),
    ...usageRoutes(shared),
    ...webhookRoutes(shared),
    ...eventRoutes(shared),
    landingRoute(),
  ]
  const all = [...routes, documentRoute(routes)]
  return {
    routes: all,
    keep,
    door: door<Caller>(all, createGate(parts.authenticator, limits)),
    [Symbol.dispose]: () => intake[Symbol.dispose](),
  }
}

/** `GET /openapi.json`: the same for everybody, so it is made once. */
function documentRoute(routes: readonly ApiRoute[]): ApiRoute {
  const document = openApi(routes, ABOUT)
  return route(
    {
      method: 'GET',
      path: '/openapi.json',
      summary: 'This document',
      access: 'public',
      answers: { 200: z.record(z.string(), z.unknown()) },
    },
    async () => ({ status: 200, body: document }),
  )
}
