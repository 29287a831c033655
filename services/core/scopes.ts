import { z } from 'zod'

/** What a token may do. A route names the one it needs; a token without it is answered 403. */
export const SCOPES = [
  'pins:read',
  'pins:write',
  'uploads:write',
  'names:read',
  'names:write',
  'policies:write',
  'nodes:admin',
  'tokens:admin',
  'collections:write',
  'proofs:write',
  'gateway:read',
  'events:read',
  'webhooks:write',
] as const

export const Scope = z.enum(SCOPES)
export type Scope = z.infer<typeof Scope>
