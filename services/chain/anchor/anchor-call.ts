import { PIN_ANCHOR, SELECTORS, TOPICS } from '../../../contracts-abi/index.ts'
import type { AnchorKind } from '../../core/proof/proof-file.ts'
import { callAt, type CallAt } from '../call-at.ts'
import { numberOfHex, wordOf, type Hex } from '../hex.ts'

/** What is anchored of a proof. */
export interface AnchoredRoot {
  /** 32 bytes, hex. */
  root: Hex
  leaves: number
  /** Seconds since 1970. */
  takenAt: number
  /** Binary CID. */
  manifest: Uint8Array
}

export type OnChain = Exclude<AnchorKind, 'none'>

/** The data of the transaction that anchors a root. */
export function anchorCall(kind: OnChain, { root, leaves, takenAt, manifest }: AnchoredRoot): Hex {
  const hash = root.slice(2)
  if (kind === 'eas-timestamp') return `${SELECTORS['timestamp(bytes32)']}${hash}`
  const bytes = Buffer.from(manifest).toString('hex')
  const words = [wordOf(leaves), wordOf(takenAt), wordOf(128), wordOf(manifest.length)].join('')
  const selector =
    kind === 'event'
      ? SELECTORS['announce(bytes32,uint64,uint64,bytes)']
      : SELECTORS['anchor(bytes32,uint64,uint64,bytes)']
  return `${selector}${hash}${words}${bytes.padEnd(Math.ceil(bytes.length / 64) * 64, '0')}`
}

/** The data of the call that asks when a root was anchored; undefined for an event, which no contract can be asked for. */
function anchorQuestion(kind: OnChain, root: Hex, publisher: Hex): Hex | undefined {
  const hash = root.slice(2)
  if (kind === 'eas-timestamp') return `${SELECTORS['getTimestamp(bytes32)']}${hash}`
  if (kind === 'event') return undefined
  return `${SELECTORS['anchoredAt(address,bytes32)']}${wordOf(BigInt(publisher))}${hash}`
}

/**
 * When a root was anchored, as of a block: seconds since 1970, 0 for never; undefined for kinds that cannot be asked for.
 * @throws RpcFailure
 */
export async function anchoredAt(
  { kind, contract, root, publisher }: { kind: OnChain; contract: Hex; root: Hex; publisher: Hex },
  at: CallAt,
): Promise<number | undefined> {
  const question = anchorQuestion(kind, root, publisher)
  if (question === undefined) return undefined
  const { returned } = await callAt(contract, question, at)
  return Number(numberOfHex(returned) ?? 0n)
}

/** A log, as far as it matters. */
export interface AnchorLog {
  address: string
  topics: readonly string[]
}

/** Whether a log of the contract says that the root was anchored; by the publisher, where the contract keeps that. */
export function saysAnchored(
  { address, topics }: AnchorLog,
  { kind, contract, root, publisher }: { kind: OnChain; contract: string; root: string; publisher: string },
): boolean {
  if (address.toLowerCase() !== contract.toLowerCase()) return false
  const [topic, first, second] = topics
  if (kind === 'eas-timestamp') return topic === TOPICS['Timestamped(bytes32,uint64)'] && first === root
  const event = kind === 'event' ? 'Announced' : 'Anchored'
  if (topic !== TOPICS[`${event}(address,bytes32,uint64,uint64,bytes)`]) return false
  return first === `0x${wordOf(BigInt(publisher))}` && second === root
}

/** Whether code at an address is that of the contract that such anchors need. Of EAS there are several versions. */
export function isAnchorCode(kind: OnChain, code: string): boolean {
  return kind === 'eas-timestamp' ? code.length > 2 : code.toLowerCase() === PIN_ANCHOR
}
