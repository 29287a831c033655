import type { CID } from 'multiformats/cid'
import { HoldfastError } from '../core/errors.ts'
import { SECOND_MS } from '../core/units.ts'
import type { SeekReport } from './seek.ts'

export interface FailedRetrieval {
  root: CID
  /** No block came for `stallMs`; or a block that no source can send any more, and whether sources said so. */
  ending: 'stalled' | { missing: CID; isDenied: boolean }
  report: SeekReport
  sources: { known: number; count: number; lost: { silent: number; failed: number; wrong: number } }
  blocks: number
  stallMs: number
}

/** The failure that tells a person what was tried, and a program whether trying again later can help. */
export function failureOf(failed: FailedRetrieval): HoldfastError {
  const { root, ending, sources, blocks, stallMs } = failed
  const tried = triedSentence(failed.report)
  const so = `after ${count(blocks, 'block')}`
  if (sources.known === 0) return new HoldfastError('NOT_FOUND', `No peer with ${root.toString()} was found: ${tried}.`)
  if (ending === 'stalled') {
    const waited = `nothing came for ${Math.round(stallMs / SECOND_MS)} s`
    return new HoldfastError('TIMED_OUT', `Fetching ${root.toString()} stalled ${so}: ${waited}; ${tried}.`)
  }
  if (ending.isDenied && blocks === 0 && ending.missing.equals(root)) {
    return new HoldfastError('NOT_FOUND', `No peer has ${root.toString()}: ${tried}.`)
  }
  if (ending.isDenied) {
    const missing = `no peer has its block ${ending.missing.toString()}`
    return new HoldfastError('BLOCK_MISSING', `${root.toString()} is not whole anywhere: ${missing}; ${tried}.`)
  }
  return lostAll(failed, `${so}: ${tried}`)
}

function lostAll({ root, sources: { lost } }: FailedRetrieval, so: string): HoldfastError {
  if (lost.wrong > 0) {
    const what = `${count(lost.wrong, 'peer')} sent bytes that are no block asked for`
    return new HoldfastError('UPSTREAM_FAILED', `${what} while ${root.toString()} was fetched, ${so}.`)
  }
  if (lost.silent > 0) {
    const what = `${count(lost.silent, 'peer')} stopped answering`
    return new HoldfastError('TIMED_OUT', `${what} while ${root.toString()} was fetched, ${so}.`)
  }
  return new HoldfastError('UPSTREAM_FAILED', `All peers with ${root.toString()} went away ${so}.`)
}

function triedSentence({ origins, providers, connected }: SeekReport): string {
  const ignored = origins.ignored.map(({ address, reason }) => ` (${address} was ignored: ${reason})`).join('')
  return [
    `of ${count(origins.given, 'origin')} ${origins.reached} could be reached${ignored}`,
    `the DHT names ${count(providers.found, 'provider')}, of which ${providers.reached} could be reached`,
    `of ${count(connected.asked, 'connected peer')} asked ${connected.have} have it`,
  ].join(', ')
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}
