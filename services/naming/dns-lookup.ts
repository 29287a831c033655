import { Resolver } from 'node:dns/promises'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import { unlessAborted } from '../core/unless-aborted.ts'
import type { TxtLookup } from './dnslink.ts'

export interface DnsOptions {
  /** Of one question to one server. Default 2 s. */
  timeoutMs?: number
  /** How often a server is asked. Default 2. */
  tries?: number
  /** Addresses with an optional port; default: those of the system. */
  servers?: readonly string[]
}

/**
 * Asks the system's or the given DNS servers. Node does not tell the TTL of TXT records, so the records come without.
 * @throws (the lookup) TIMED_OUT, UPSTREAM_FAILED
 */
export function dnsLookup({ timeoutMs = 2 * SECOND_MS, tries = 2, servers }: DnsOptions = {}): TxtLookup {
  return async (domain, { signal }) => {
    // One for each question: cancelling is for all questions of a resolver.
    const resolver = new Resolver({ timeout: timeoutMs, tries })
    if (servers !== undefined) resolver.setServers(servers)
    try {
      const records = await unlessAborted(resolver.resolveTxt(domain), signal)
      return records.map((strings) => ({ text: strings.join('') }))
    } catch (cause) {
      if (signal?.aborted === true) resolver.cancel()
      signal?.throwIfAborted()
      return failed(domain, cause)
    }
  }
}

/** No record is an answer; the rest are failures. */
function failed(domain: string, cause: unknown): [] {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'ENODATA' || code === 'ENOTFOUND') return []
  if (code === 'ETIMEOUT') {
    throw new HoldfastError('TIMED_OUT', `DNS did not answer for ${domain}.`, { cause, retryAfterSeconds: 5 })
  }
  throw new HoldfastError('UPSTREAM_FAILED', `DNS could not answer for ${domain}.`, { cause })
}
