import assert from 'node:assert/strict'
import { parseCid } from '../../services/core/cid.ts'
import type { TokenUri } from '../../services/core/token-uri/token-uri.ts'

/** What holds for the answer to any text at all. */
export function assertSound(answer: TokenUri, text: string): void {
  const { kind, verdict, cid, path, name, literalPath = '' } = answer
  const shown = JSON.stringify(text.slice(0, 200))
  const namesContent = kind === 'ipfs' || kind === 'ipfs-gateway'
  const namesName = kind === 'ens' || kind === 'dnslink' || kind === 'ipns' || kind === 'ipns-gateway'
  assert.equal(cid !== null, namesContent, shown)
  assert.equal(name !== undefined, namesName, shown)
  if (cid !== null && verdict.startsWith('IMMUTABLE')) assert.equal(parseCid(cid).toString(), cid, shown)
  assert.equal(
    verdict === 'IMMUTABLE_VIA_GATEWAY',
    kind === 'ipfs-gateway' && verdict !== 'UNSAFE' && verdict !== 'UNSUPPORTED',
    shown,
  )
  for (const way of [path, literalPath]) {
    assert.ok(!/^\/|\/$|\/\/|\0/.test(way) && way.isWellFormed(), shown)
    assert.ok(!way.split(/[\\/]/).some((segment) => segment === '.' || segment === '..'), shown)
  }
}
