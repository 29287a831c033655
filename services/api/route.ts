import type { Caller } from '../catalog/tokens.ts'
import type { Scope } from '../core/scopes.ts'
import { declareRoute, type DeclareRoute, type Route } from '../runtime/http/route.ts'

/** A route of the API. */
export type ApiRoute = Route<Caller>

/** Declares a route of the API: `access` is a scope, or `public`. */
export const route = declareRoute as unknown as DeclareRoute<Caller, Scope>
