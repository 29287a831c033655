import { createReadStream, readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { readCar } from '../../services/dag/read-car.ts'
import { parseKey } from '../../services/gateway/name-text.ts'
import { namesOf } from '../../services/gateway/names.ts'
import { type Gateway, type GatewayOptions } from '../../services/gateway/server.ts'
import { parseDnsLinks } from '../../services/naming/dnslink.ts'
import { NameResolver } from '../../services/naming/name-resolver.ts'
import { askInOrder } from '../../services/naming/record-source.ts'
import { openRecordStore } from '../../services/naming/record-store.ts'
import { MemoryBlocks } from './dag.ts'
import { openGateway } from './gateway.ts'

/** Files of the IPFS gateway conformance suite: CARs, IPNS records and DNSLinks. */
const FIXTURES = new URL('../fixtures/gateway/', import.meta.url)

export interface FixtureRecord {
  /** The name, as the suite writes it. */
  name: string
  /** Path of its file below the fixtures. */
  file: string
  bytes: Buffer
}

function filesOf(extension: string): string[] {
  return readdirSync(FIXTURES, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(extension))
    .toSorted()
}

export function carFiles(): string[] {
  return filesOf('.car').map((file) => new URL(file, FIXTURES).pathname)
}

export async function recordFixtures(): Promise<FixtureRecord[]> {
  return await Promise.all(
    filesOf('.ipns-record').map(async (file) => ({
      name: basename(file, '.ipns-record').split('_', 1)[0] ?? '',
      file,
      bytes: await readFile(new URL(file, FIXTURES)),
    })),
  )
}

/** DNSLinks in the form of the setting HOLDFAST_DNSLINKS. */
export async function dnsLinksSetting(): Promise<string> {
  const links = JSON.parse(await readFile(new URL('dnslinks.json', FIXTURES), 'utf8')) as Record<string, string>
  return Object.entries(links)
    .map(([domain, path]) => `${domain}:${path}`)
    .join(',')
}

/** All fixtures' blocks. */
export async function allFixtureBlocks(): Promise<MemoryBlocks> {
  const blocks = new MemoryBlocks()
  for (const file of carFiles()) {
    const car = await readCar(createReadStream(file))
    for await (const { cid, bytes } of car.blocks) await blocks.put(cid, bytes)
  }
  return blocks
}

/** A gateway with all fixtures: its names are kept in a folder that is removed with it. */
export async function openFixtureGateway(
  options: Partial<GatewayOptions> = {},
): Promise<{ gateway: Gateway; blocks: MemoryBlocks } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-names-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const store = await openRecordStore(folder)
  const staticLinks = parseDnsLinks(await dnsLinksSetting())
  const resolver = opened.use(new NameResolver({ records: askInOrder([store]), staticLinks }))
  const names = namesOf({ resolver, store })
  for (const { name, bytes } of await recordFixtures()) {
    const key = parseKey(name)
    // Some of them are invalid on purpose.
    if (key !== undefined) await names.publish(key, bytes, {}).catch(() => {})
  }
  const blocks = await allFixtureBlocks()
  const gateway = opened.use(
    await openGateway(blocks, {
      names,
      hosts: ['localhost', 'example.com'].map((host) => ({ host, class: 'subdomain' })),
      isProxy: true,
      ...options,
    }),
  )
  const owned = opened.move()
  return { gateway, blocks, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** The subdomain gateway of the fixtures. */
export const SUBDOMAINS = 'example.com'
