import type { CID } from 'multiformats/cid'
import { cidKey } from '../core/cid.ts'
import type { Denial } from '../core/denylist.ts'
import { denied } from '../core/denylists.ts'
import type { Grantor } from '../core/restricted-roots.ts'
import type { RulesInForce } from '../core/rules-in-force.ts'
import type { IpnsName } from '../naming/ipns-name.ts'
import { admit } from './admission.ts'
import type { Answer } from './answer.ts'
import { encodeSegments } from './content-path.ts'
import type { KnownPaths } from './known-paths.ts'
import { parseKey } from './name-text.ts'
import type { Names } from './names.ts'
import type { GatewayRequest } from './request.ts'
import type { GatewayBlocks, GatewaySource } from './source.ts'
import type { RestrictedBlocks } from './restricted-blocks.ts'
import type { Routing } from './routing.ts'
import type { Visitor } from './visitor.ts'

export interface GuardOptions {
  rules: RulesInForce
  /** Blocks of restricted roots; undefined on a gateway that knows only the roots themselves. */
  restricted?: Pick<RestrictedBlocks, 'rootsOf'> | undefined
  /** Told of each request that a denylist ended. */
  onDenied?: ((denial: Denial) => void) | undefined
}

/** Who is watched. */
export interface Watched {
  /** Asked for only when the content is not for everybody. */
  visitor: () => Visitor
  /** Told of the tenant that lets the visitor in, before anything is read. What it throws ends the request. */
  onAdmitted: (tenant: number) => void
}

/** What answering reads from. */
export interface Sources {
  source: GatewaySource
  names: Pick<Names, 'isLinked' | 'resolve' | 'record' | 'publish'>
  paths: Pick<KnownPaths, 'follow'>
}

/** The same sources, which let through only what the visitor may have. */
export interface Guarded {
  source: GatewaySource
  names: Names
  paths: Pick<KnownPaths, 'follow'>
  /** The answer as it may be kept: what is not for everybody is not for shared caches. */
  finish(answer: Answer): Answer
}

/**
 * Stands between a request and all content: denylists are asked about the path, about what its name stands for, about
 * every CID on the way and every block that leaves; access rules about the root. A CAR or TAR that meets a denied block
 * ends there, so that it cannot be taken for whole.
 */
export class Guard {
  readonly #options: GuardOptions

  constructor(options: GuardOptions) {
    this.#options = options
  }

  /** @throws CONTENT_DENIED, CONTENT_DENIED_BY_LAW; UNAUTHORIZED, FORBIDDEN, UNAVAILABLE as `admit` */
  watch(request: GatewayRequest, { visitor, onAdmitted }: Watched, { source, names, paths }: Sources): Guarded {
    const { path } = request
    let isRestricted = false
    const enter = (root: CID, segments: readonly string[]): void => {
      this.#refuseDenied(root, segments)
      const grantors = this.#grantorsOf(root)
      if (grantors === undefined) return
      isRestricted = true
      const asked = `/ipfs/${cidKey(root)}${encodeSegments(segments)}`
      const named = path.namespace === 'ipfs' ? [] : [`/${path.namespace}/${path.root}${encodeSegments(path.segments)}`]
      const roots = grantors.roots.map((key) => `/ipfs/${key}`)
      onAdmitted(
        admit(grantors.all, { visitor: visitor(), paths: [asked, ...named, ...roots], rules: this.#options.rules }),
      )
    }
    if (path.namespace === 'ipfs') enter(path.root, path.segments)
    else this.#refuseName(nameText(path.root), path.segments)
    return {
      source: { of: (root) => this.#blocks(source.of(root)), local: this.#blocks(source.local) },
      names: {
        isLinked: (domain, options) => names.isLinked(domain, options),
        record: (name, options) => names.record(name, options),
        publish: (name, record, options) => names.publish(name, record, options),
        resolve: async (name, options) => {
          const place = await names.resolve(name, options)
          enter(place.root, [...place.segments, ...path.segments])
          return place
        },
      },
      paths: {
        follow: async (root, segments, blocks, options) => {
          this.#refuseDenied(root, segments)
          const found = await paths.follow(root, segments, blocks, options)
          for (const cid of found.path) this.#refuse(this.#options.rules.denylists.block(cid))
          return found
        },
      },
      finish: (answer) => (isRestricted ? privately(answer) : answer),
    }
  }

  /** The delegated router's sources, which say nothing of denied content and names. */
  watchRouting({ routing, names }: { routing: Routing; names: Names }): { routing: Routing; names: Names } {
    const refuseKey = ({ text }: IpnsName): void => this.#refuseName(text, [])
    return {
      routing: {
        providers: async (cid, options) => {
          this.#refuse(this.#options.rules.denylists.block(cid))
          return await routing.providers(cid, options)
        },
        peers: (id, options) => routing.peers(id, options),
      },
      names: {
        isLinked: (domain, options) => names.isLinked(domain, options),
        resolve: (name, options) => names.resolve(name, options),
        record: async (name, options) => {
          refuseKey(name)
          return await names.record(name, options)
        },
        publish: async (name, record, options) => {
          refuseKey(name)
          await names.publish(name, record, options)
        },
      },
    }
  }

  #blocks(source: GatewayBlocks): GatewayBlocks {
    return {
      get: async (cid, options) => {
        this.#refuse(this.#options.rules.denylists.block(cid))
        return await source.get(cid, options)
      },
      sizeOf: (cid) => {
        this.#refuse(this.#options.rules.denylists.block(cid))
        return source.sizeOf(cid)
      },
      expect: (cids, options) => source.expect?.(cids, options),
      giveBack: (bytes) => source.giveBack(bytes),
    }
  }

  /** The root itself counts too, and so does a name: who may not have it may not have what is under it. */
  #refuseDenied(root: CID, segments: readonly string[]): void {
    const { denylists } = this.#options.rules
    this.#refuse(denylists.block(root) ?? (segments.length > 0 ? denylists.content(root, segments) : undefined))
  }

  #refuseName(name: string, segments: readonly string[]): void {
    const { denylists } = this.#options.rules
    this.#refuse(denylists.name(name, []) ?? denylists.name(name, segments))
  }

  #refuse(denial: Denial | undefined): void {
    if (denial === undefined) return
    this.#options.onDenied?.(denial)
    throw denied(denial)
  }

  /** Undefined for content that everybody may read. */
  #grantorsOf(root: CID): { roots: readonly string[]; all: readonly Grantor[] } | undefined {
    const { rules, restricted } = this.#options
    const own = rules.restricted.grantorsOf(root)
    if (own !== undefined) return { roots: [cidKey(root)], all: own }
    const roots = restricted?.rootsOf(root) ?? []
    if (roots.length === 0) return undefined
    return { roots, all: roots.flatMap((key) => rules.restricted.grantorsOf(key) ?? []) }
  }
}

/** Every form of a key is the same name. */
function nameText(root: string): string {
  return parseKey(root)?.text ?? root
}

/** The reader may keep it, but asks each time whether it may still be read. */
function privately(answer: Answer): Answer {
  return {
    ...answer,
    headers: {
      ...answer.headers,
      'cache-control': 'private, no-cache',
      vary: 'Accept, Authorization, Origin, Referer',
    },
  }
}
