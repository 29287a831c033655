import { ProviderPool } from './chain/provider-pool.ts'
import type { Config } from './runtime/config.ts'

/** The providers of the chain that the configuration names; undefined when it names none. */
export function chainPool({
  HOLDFAST_CHAIN_RPC: urls,
  HOLDFAST_CHAIN_QUORUM: quorum,
}: Pick<Config, 'HOLDFAST_CHAIN_RPC' | 'HOLDFAST_CHAIN_QUORUM'>): ProviderPool | undefined {
  if (urls.length === 0) return undefined
  const providers = urls.map((url, index) => ({ name: `provider ${index + 1}`, url }))
  return new ProviderPool(providers, { quorum })
}
