import assert from 'node:assert/strict'
import type { Cluster } from './cluster.ts'
import { seededBytes } from './random-bytes.ts'
import type { Random } from './seeded-random.ts'
import { until } from './until.ts'

/** A pin that a client was told is there. */
interface Acknowledged {
  requestId: string
  cid: string
  /** Of the content; what the bytes were made from. */
  seed: number
  length: number
}

const STEP_DEADLINE_MS = 20_000

/**
 * A client that uploads, pins, unpins and replaces, and writes down what it was told. What broke off counts as unknown:
 * such a pin is not spoken of any more. Each answer but the expected ones fails the test.
 */
export class Ledger {
  readonly #cluster: Cluster
  readonly #random: Random
  readonly #pins = new Map<string, Acknowledged>()
  #nextSeed: number
  /** Calls that were acknowledged, refused as the API may, and cut off. */
  readonly counts = { acknowledged: 0, refused: 0, cut: 0 }

  constructor(cluster: Cluster, random: Random, firstSeed: number) {
    this.#cluster = cluster
    this.#random = random
    this.#nextSeed = firstSeed
  }

  get size(): number {
    return this.#pins.size
  }

  /** One thing that a client does, chosen at random. */
  async step(): Promise<void> {
    const choice = this.#random()
    const known = [...this.#pins.values()]
    const some = known[Math.floor(this.#random() * known.length)]
    if (some === undefined || choice < 0.6) return await this.#upload()
    if (choice < 0.75) return await this.#pinAgain(some)
    const other = known[Math.floor(this.#random() * known.length)]
    this.#pins.delete(some.requestId)
    if (choice < 0.88 || other === undefined) return await this.#unpin(some)
    await this.#replace(some, other)
  }

  async #upload(): Promise<void> {
    const seed = this.#nextSeed++
    const length = Math.floor(this.#random() * 200_000) + 1
    const headers = { 'content-type': 'application/octet-stream' }
    const body = seededBytes(seed, length) as Uint8Array<ArrayBuffer>
    const answer = await this.#call<{ cid: string; pin: { requestid: string } }>('/v1/uploads', {
      method: 'POST',
      headers,
      body,
    })
    if (answer !== undefined) this.#note({ requestId: answer.pin.requestid, cid: answer.cid, seed, length })
  }

  async #pinAgain({ cid, seed, length }: Acknowledged): Promise<void> {
    const answer = await this.#call<{ requestid: string }>('/psa/pins', pinOf(cid))
    if (answer !== undefined) this.#note({ requestId: answer.requestid, cid, seed, length })
  }

  async #unpin({ requestId }: Acknowledged): Promise<void> {
    await this.#call(`/psa/pins/${requestId}`, { method: 'DELETE' })
  }

  async #replace({ requestId }: Acknowledged, { cid, seed, length }: Acknowledged): Promise<void> {
    const answer = await this.#call<{ requestid: string }>(`/psa/pins/${requestId}`, pinOf(cid))
    if (answer !== undefined) this.#note({ requestId: answer.requestid, cid, seed, length })
  }

  #note(pin: Acknowledged): void {
    this.#pins.set(pin.requestId, pin)
  }

  /** The answer; undefined when the call was refused or cut off. */
  async #call<T = void>(path: string, init: RequestInit): Promise<T | undefined> {
    let response: Response
    let text: string
    try {
      response = await this.#cluster.api(path, { ...init, signal: AbortSignal.timeout(STEP_DEADLINE_MS) })
      text = await response.text()
    } catch {
      this.counts.cut++
      return undefined
    }
    if (response.ok) {
      this.counts.acknowledged++
      return text === '' ? undefined : (JSON.parse(text) as T)
    }
    this.counts.refused++
    // While a part is away the API may say so, with a time to come back; a node that broke off is 502.
    assert.ok([502, 503].includes(response.status), `${init.method} ${path}: ${response.status} ${text}`)
    if (response.status === 503) assert.ok(response.headers.has('retry-after'), text)
    return undefined
  }

  /** Every acknowledged pin is pinned, and its bytes come from each gateway. */
  async check(): Promise<void> {
    for (const { requestId, cid } of this.#pins.values()) {
      const { pin } = await until(
        `${requestId} is pinned`,
        async () => {
          const details = await this.#cluster.details(requestId)
          return details.status === 'pinned' ? details : undefined
        },
        90_000,
      )
      assert.equal(pin.cid, cid)
    }
    const contents = new Map([...this.#pins.values()].map((pin) => [pin.cid, pin]))
    for (const { cid, seed, length } of contents.values()) {
      const bytes = seededBytes(seed, length)
      for (const node of this.#cluster.ready.nodes) {
        assert.equal(Buffer.compare(await this.#cluster.read(node, `/ipfs/${cid}`), bytes), 0, `${cid} of ${node.id}`)
      }
    }
  }
}

function pinOf(cid: string): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ cid }) }
}
