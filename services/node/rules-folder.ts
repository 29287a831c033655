import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { Denylist } from '../core/denylist.ts'
import { Denylists } from '../core/denylists.ts'
import { HoldfastError } from '../core/errors.ts'
import { GatewayRules, type RulesDocument } from '../core/gateway-rules.ts'
import { RestrictedRoots } from '../core/restricted-roots.ts'
import type { RulesInForce } from '../core/rules-in-force.ts'

/** Gets a part of a document from the control plane. */
export type FetchPart = (hash: string, part: number) => Promise<string>

const KeptRules = GatewayRules.omit({ signingKeys: true })
type KeptRules = z.infer<typeof KeptRules>

/** Keys of signed URLs by tenant, and the database's time. */
export interface UnwrittenRules {
  nowMs: number | undefined
  signingKeys: [number, Uint8Array[]][]
}

const MANIFEST = 'rules.json'

/**
 * The gateway's rules as the control plane last told them, kept in a folder so that they are in force when this node
 * starts while the control plane is away. Keys of signed URLs and the time are in memory alone: without the control
 * plane nobody could tell whether a URL has expired.
 */
export class RulesFolder implements RulesInForce {
  readonly #folder: string
  #version = ''
  /** Text of the manifest that was read last. */
  #manifest = ''
  #denylists = new Denylists()
  /** Lists that are in force, by hash, name and status: an unchanged one is not read again. */
  #lists = new Map<string, Denylist>()
  #restricted = new RestrictedRoots()
  #signingKeys = new Map<number, Uint8Array[]>()
  #clock: { ms: number; at: number } | undefined
  #replacing: Promise<void> = Promise.resolve()

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Opens with the rules that the folder has. Rules that cannot be read are got again. */
  static async open(folder: string): Promise<RulesFolder> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const rules = new RulesFolder(folder)
    try {
      await rules.refresh()
    } catch {
      // As good as none: the version stays empty, and the control plane sends them.
    }
    return rules
  }

  /**
   * Reads what another process of this node has put into the folder since.
   * @throws when it cannot be read, among others because it is being replaced just now; those before stay in force
   */
  async refresh(): Promise<void> {
    const text = await readManifest(join(this.#folder, MANIFEST))
    if (text === undefined || text === this.#manifest) return
    await this.#use(KeptRules.parse(JSON.parse(text)))
    this.#manifest = text
  }

  /** What the node has, for the control plane; empty until it was told the keys that are in no file. */
  get version(): string {
    return this.#version
  }

  get denylists(): Denylists {
    return this.#denylists
  }

  get restricted(): RestrictedRoots {
    return this.#restricted
  }

  signingKeysOf(tenant: number): readonly Uint8Array[] {
    return this.#signingKeys.get(tenant) ?? []
  }

  nowMs(): number | undefined {
    return this.#clock && this.#clock.ms + performance.now() - this.#clock.at
  }

  /** What is in no file, for another process of this node. */
  get unwritten(): UnwrittenRules {
    return { nowMs: this.nowMs(), signingKeys: [...this.#signingKeys] }
  }

  /** Takes what the process that replaces the rules has in memory. */
  hear({ nowMs, signingKeys }: UnwrittenRules): void {
    if (nowMs !== undefined) this.heardClock(nowMs)
    this.#signingKeys = new Map(signingKeys)
  }

  /** Takes the database's time, as it is just now. */
  heardClock(ms: number): void {
    this.#clock = { ms, at: performance.now() }
  }

  /**
   * Gets the documents that are not there yet, puts the rules in force, and keeps them. Rules that are told meanwhile
   * wait for these.
   * @throws what `fetchPart` throws; UPSTREAM_FAILED when a document is not what its hash says
   */
  async replace(rules: GatewayRules, fetchPart: FetchPart): Promise<void> {
    const turn = this.#replacing.then(() => this.#replace(rules, fetchPart))
    this.#replacing = turn.catch(() => undefined)
    await turn
  }

  async #replace({ signingKeys, ...rules }: GatewayRules, fetchPart: FetchPart): Promise<void> {
    if (rules.version === this.#version) return
    for (const document of [...rules.denylists, rules.access]) await this.#fetch(document, fetchPart)
    await this.#use(rules)
    this.#signingKeys = Map.groupBy(signingKeys, ({ tenant }) => tenant)
      .entries()
      .reduce((keys, [tenant, own]) => keys.set(tenant, own.map(decoded)), new Map<number, Uint8Array[]>())
    this.#version = rules.version
    await this.#keep(rules)
  }

  /** @throws ENOENT and what the lines throw */
  async #use(rules: KeptRules): Promise<void> {
    const lists = new Map<string, Denylist>()
    for (const list of rules.denylists) {
      const key = `${list.hash} ${list.name} ${list.status}`
      lists.set(key, this.#lists.get(key) ?? (await this.#readList(list)))
    }
    const restricted = new RestrictedRoots()
    await this.#eachLine(rules.access, (line) => restricted.add(line))
    this.#lists = lists
    this.#denylists = new Denylists([...lists.values()])
    this.#restricted = restricted
  }

  async #readList(list: KeptRules['denylists'][number]): Promise<Denylist> {
    const denylist = new Denylist(list.name, list.status)
    await this.#eachLine(list, (line) => denylist.add(line))
    denylist.end()
    return denylist
  }

  /** Line by line as the file is read, so that half a million of them do not hold up everything else. */
  async #eachLine(document: RulesDocument, take: (line: string) => void): Promise<void> {
    if (document.parts === 0) return
    await using file = await open(this.#file(document.hash))
    for await (const line of file.readLines()) if (line !== '') take(line)
  }

  async #fetch(document: RulesDocument, fetchPart: FetchPart): Promise<void> {
    const file = this.#file(document.hash)
    if (document.parts === 0 || (await isThere(file))) return
    const draft = `${file}.new`
    const digest = createHash('sha256')
    {
      await using handle = await open(draft, 'w', 0o600)
      for (let part = 0; part < document.parts; part++) {
        const text = await fetchPart(document.hash, part)
        digest.update(text)
        await handle.writeFile(text)
      }
      await handle.datasync()
    }
    if (digest.digest('hex') !== document.hash) {
      throw new HoldfastError('UPSTREAM_FAILED', 'Rules of the gateway did not arrive as they were sent.')
    }
    await rename(draft, file)
  }

  /** The manifest is whole or the one before; documents that it does not name are removed after it. */
  async #keep(rules: KeptRules): Promise<void> {
    const draft = join(this.#folder, `${MANIFEST}.new`)
    {
      await using handle = await open(draft, 'w', 0o600)
      await handle.writeFile(JSON.stringify(rules))
      await handle.datasync()
    }
    await rename(draft, join(this.#folder, MANIFEST))
    const named = new Set([MANIFEST, ...[...rules.denylists, rules.access].map(({ hash }) => hash)])
    for (const name of await readdir(this.#folder)) {
      if (!named.has(name)) await rm(join(this.#folder, name), { force: true })
    }
  }

  #file(hash: string): string {
    return join(this.#folder, hash)
  }
}

/** Undefined when there is none yet. */
async function readManifest(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function isThere(file: string): Promise<boolean> {
  try {
    await using handle = await open(file)
    return handle.fd > 0
  } catch {
    return false
  }
}

function decoded({ key }: { key: string }): Uint8Array {
  return Buffer.from(key, 'base64url')
}
