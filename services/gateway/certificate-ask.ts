import type { IncomingMessage } from 'node:http'
import type { Abortable } from '../core/block-source.ts'
import { hasCode, HoldfastError } from '../core/errors.ts'
import type { Answer } from './answer.ts'
import type { HostTable } from './hosts.ts'
import { ensLabel, ensOfLabel } from './name-text.ts'
import type { Names } from './names.ts'
import type { TrustedProxies } from './trusted-proxies.ts'

export const ASK_PATH = '/tls/ask'

export interface AskOptions extends Abortable {
  hosts: Pick<HostTable, 'find'>
  names: Pick<Names, 'isLinked'>
  proxies: Pick<TrustedProxies, 'trusts'>
}

/**
 * Tells a reverse proxy that gets certificates on demand whether to get one for a host (`?domain=`): 200 for a name of ENS
 * that has content, as one label before `.ens.` of a subdomain gateway's host; 404 for whatever else. Only trusted proxies
 * are answered, for themselves: a name costs a question to the chain.
 * @throws NOT_FOUND; NOT_IMPLEMENTED, UPSTREAM_FAILED, TIMED_OUT, UNAVAILABLE when the chain cannot be asked
 */
export async function answerCertificateAsk(
  { socket, headers }: IncomingMessage,
  rawQuery: string,
  { hosts, names, proxies, signal }: AskOptions,
): Promise<Answer> {
  const isAnswered = proxies.trusts(socket.remoteAddress) && headers['x-forwarded-for'] === undefined
  const host = new URLSearchParams(rawQuery).get('domain') ?? ''
  const name = isAnswered ? ensNameOf(host, hosts) : undefined
  if (name === undefined || !(await hasContent(name, names, signal))) {
    throw new HoldfastError('NOT_FOUND', 'No certificate is to be had for this host.')
  }
  return {
    status: 200,
    headers: { 'content-type': 'text/plain', 'cache-control': 'no-store' },
    body: Buffer.from('ok\n'),
  }
}

/** One label a name, so that each has one certificate. */
function ensNameOf(host: string, hosts: Pick<HostTable, 'find'>): string | undefined {
  const known = hosts.find(host)
  if (known?.class !== 'subdomain' || known.content?.namespace !== 'ens') return undefined
  const label = known.content.id.toLowerCase()
  const name = ensOfLabel(label)
  return name !== undefined && ensLabel(name) === label ? name : undefined
}

async function hasContent(
  name: string,
  names: Pick<Names, 'isLinked'>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    return await names.isLinked(name, { isEns: true, ...(signal && { signal }) })
  } catch (error) {
    if (hasCode(error, 'OTHER_NETWORK')) return false
    throw error
  }
}
