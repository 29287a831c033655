import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { startEmbedded } from './catalog/embedded.ts'
import { makeToken } from './catalog/token-text.ts'
import { HoldfastError } from './core/errors.ts'
import { childEnvironment, loadConfig, type Config } from './runtime/config.ts'
import { startRole, type RoleProcess } from './runtime/role-process.ts'
import { pause } from './runtime/loop.ts'
import { aborted, run } from './runtime/run.ts'

/**
 * A whole small cluster on this machine, each part a process of its own: Postgres, the control plane, and storage nodes in
 * several regions. `ready.json` in the data folder tells programs where everything is. With `join` it adds one more node
 * to the cluster that runs on the data folder, or brings a part back: `npm run join -- frankfurt-1` or `-- control`.
 */

const REGIONS = ['shanghai', 'frankfurt', 'virginia'] as const
/** Name of the control plane among the parts. */
const CONTROL = 'control'
const LOOK_MS = 500
const PROGRAM = join(import.meta.dirname, 'main.ts')

interface ReadyNode {
  id: string
  region: string
  pid: number
  gateway: string
  peer: string
  addresses: string[]
  data: string
}

interface Ready {
  api: string
  token: string
  database: string
  pid: number
  control: { pid: number }
  nodes: ReadyNode[]
}

interface Secrets {
  token: string
  joinToken: string
  secretsKey: string
  masterKey: string
  proofKey: string
}

async function startCluster(config: Config, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now()
  const data = resolve(config.HOLDFAST_DATA)
  await mkdir(join(data, 'logs'), { recursive: true })
  await refuseSecondCluster(data)
  await rm(readyFile(data), { force: true })
  const secrets = await readSecrets(data, config)

  await using stack = new AsyncDisposableStack()
  const database = await startDatabase(config, data, stack)
  const control = stack.use(startRole(controlRole(data, database, secrets)))
  const nodes = Array.from({ length: config.HOLDFAST_NODES }, (_, index) =>
    startRole(nodeRole(config, data, secrets, index)),
  )
  stack.defer(() => disposeAll(nodes))

  const { api } = (await control.ready) as { api: string }
  const ready: Ready = {
    api,
    token: secrets.token,
    database,
    pid: process.pid,
    control: { pid: control.pid },
    nodes: (await Promise.all(nodes.map((node) => node.ready))) as ReadyNode[],
  }
  await writeReady(data, ready)
  stack.defer(() => rm(readyFile(data), { force: true }))
  process.stdout.write(welcome(ready, data, (performance.now() - startedAt) / 1_000))
  for (const part of [control, ...nodes]) void part.ended.then((how) => tellEnd(part, how, signal))
  await aborted(signal)
  process.stdout.write('\nstopping …\n')
}

async function startDatabase(config: Config, data: string, stack: AsyncDisposableStack): Promise<string> {
  if (config.DATABASE_URL !== undefined) return config.DATABASE_URL
  const database = await startEmbedded({ folder: join(data, 'postgres') })
  stack.defer(() => database.stop())
  return database.url
}

function controlRole(data: string, database: string, secrets: Secrets): Parameters<typeof startRole>[0] {
  const env = childEnvironment({
    HOLDFAST_ROLES: 'control',
    HOLDFAST_DATA: join(data, 'control'),
    DATABASE_URL: database,
    HOLDFAST_TOKEN: secrets.token,
    HOLDFAST_JOIN_TOKEN: secrets.joinToken,
    HOLDFAST_SECRETS_KEY: secrets.secretsKey,
    HOLDFAST_MASTER_KEY: secrets.masterKey,
    HOLDFAST_PROOF_KEY: secrets.proofKey,
    HOLDFAST_WEBHOOK_LOOPBACK: 'true',
  })
  return { name: CONTROL, program: [PROGRAM], env, logFile: join(data, 'logs', 'control.log') }
}

function nodeRole(config: Config, data: string, secrets: Secrets, index: number): Parameters<typeof startRole>[0] {
  const name = nodeName(index)
  const env = childEnvironment({
    HOLDFAST_ROLES: 'node',
    HOLDFAST_DATA: join(data, 'nodes', name),
    HOLDFAST_CONTROL_URL: `http://${config.HOLDFAST_HOST}:${config.HOLDFAST_API_PORT}`,
    HOLDFAST_JOIN_TOKEN: secrets.joinToken,
    HOLDFAST_NODE_NAME: name,
    HOLDFAST_NODE_LABELS: `region=${regionOf(index)},zone=${regionOf(index)}-a,provider=local`,
    HOLDFAST_GATEWAY_PORT: String(config.HOLDFAST_GATEWAY_PORT + index),
    HOLDFAST_SWARM_PORT: String(config.HOLDFAST_SWARM_PORT + index),
    HOLDFAST_METRICS_PORT: String(config.HOLDFAST_METRICS_PORT === 0 ? 0 : config.HOLDFAST_METRICS_PORT + 1 + index),
    HOLDFAST_DIAL_PRIVATE: 'true',
  })
  delete env['DATABASE_URL']
  delete env['HOLDFAST_TOKEN']
  delete env['HOLDFAST_SECRETS_KEY']
  delete env['HOLDFAST_MASTER_KEY']
  delete env['HOLDFAST_PROOF_KEY']
  delete env['HOLDFAST_ANCHOR_KEY']
  return { name, program: [PROGRAM], env, logFile: join(data, 'logs', `${name}.log`) }
}

function regionOf(index: number): string {
  return REGIONS[index % REGIONS.length] ?? ''
}

/** `shanghai-1`, `frankfurt-1`, `virginia-1`, `shanghai-2`, … */
function nodeName(index: number): string {
  return `${regionOf(index)}-${Math.floor(index / REGIONS.length) + 1}`
}

async function joinCluster(config: Config, wanted: string | undefined, signal: AbortSignal): Promise<void> {
  const data = resolve(config.HOLDFAST_DATA)
  const ready = await readReady(data)
  if (ready === undefined) throw new HoldfastError('CONFIG', `No cluster runs on ${data}. Start one with: npm start`)
  const secrets = await readSecrets(data, config)
  if (wanted === CONTROL) {
    await using control = startRole(controlRole(data, ready.database, secrets))
    await control.ready
    await writeReady(data, { ...ready, control: { pid: control.pid } })
    return await staysIn(ready, control, signal)
  }
  await using node = startRole(nodeRole(config, data, secrets, indexToJoin(ready, wanted)))
  const joined = (await node.ready) as ReadyNode
  await writeReady(data, { ...ready, nodes: [...ready.nodes.filter(({ id }) => id !== joined.id), joined] })
  await staysIn(ready, node, signal)
  await forgetNode(data, joined)
}

/** Resolves when the part ends, is asked to, or the cluster that it is a part of has ended. */
async function staysIn(cluster: Ready, part: RoleProcess, signal: AbortSignal): Promise<void> {
  process.stdout.write(
    `${part.name} is in the cluster (pid ${part.pid}). Ctrl-C stops it, and so does the cluster's end.\n`,
  )
  const over = new AbortController()
  void Promise.race([aborted(signal), part.ended]).then(() => over.abort())
  while (!over.signal.aborted && isAlive(cluster.pid)) await pause(LOOK_MS, over.signal)
}

/** The node of that name, else the first one that does not run. */
function indexToJoin(ready: Ready, wanted: string | undefined): number {
  const runs = (name: string): boolean => ready.nodes.some(({ id, pid }) => id === name && isAlive(pid))
  const indexes = Array.from({ length: 64 }, (_, index) => index)
  const found = indexes.find((index) => (wanted === undefined ? !runs(nodeName(index)) : nodeName(index) === wanted))
  if (found === undefined)
    throw new HoldfastError('CONFIG', `${wanted} is no name of a node; the first is ${nodeName(0)}.`)
  if (runs(nodeName(found))) throw new HoldfastError('CONFIG', `${nodeName(found)} runs already.`)
  return found
}

/** Takes a node that left out of `ready.json`, unless the cluster itself has ended or the node was started anew. */
async function forgetNode(data: string, left: ReadyNode): Promise<void> {
  const ready = await readReady(data)
  if (ready !== undefined)
    await writeReady(data, { ...ready, nodes: ready.nodes.filter(({ pid }) => pid !== left.pid) })
}

async function disposeAll(nodes: readonly RoleProcess[]): Promise<void> {
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
}

function tellEnd(part: RoleProcess, how: string, signal: AbortSignal): void {
  if (signal.aborted) return
  process.stdout.write(`${part.name} has ended (${how}). Bring it back with: npm run join -- ${part.name}\n`)
}

async function readSecrets(data: string, config: Config): Promise<Secrets> {
  return {
    secretsKey: config.HOLDFAST_SECRETS_KEY ?? (await keptSecret(join(data, 'secrets-key'), randomText)),
    masterKey: config.HOLDFAST_MASTER_KEY ?? (await keptSecret(join(data, 'master-key'), randomKey)),
    proofKey: config.HOLDFAST_PROOF_KEY ?? (await keptSecret(join(data, 'proof-key'), randomHex)),
    token: config.HOLDFAST_TOKEN ?? (await keptSecret(join(data, 'token'), makeToken)),
    joinToken: config.HOLDFAST_JOIN_TOKEN ?? (await keptSecret(join(data, 'join-token'), randomText)),
  }
}

function randomKey(): string {
  return randomBytes(32).toString('base64')
}

function randomHex(): string {
  return randomBytes(32).toString('hex')
}

function randomText(): string {
  return randomBytes(32).toString('base64url')
}

async function keptSecret(file: string, make: () => string): Promise<string> {
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept !== undefined) return kept.trim()
  const made = make()
  await writeFile(file, `${made}\n`, { mode: 0o600 })
  return made
}

function readyFile(data: string): string {
  return join(data, 'ready.json')
}

async function readReady(data: string): Promise<Ready | undefined> {
  const text = await readFile(readyFile(data), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as Ready)
}

/** Whole or not at all: programs wait for this file. */
async function writeReady(data: string, ready: Ready): Promise<void> {
  const draft = `${readyFile(data)}.${process.pid}`
  await writeFile(draft, `${JSON.stringify(ready, null, 2)}\n`, { mode: 0o600 })
  await rename(draft, readyFile(data))
}

async function refuseSecondCluster(data: string): Promise<void> {
  const ready = await readReady(data)
  if (ready === undefined || !isAlive(ready.pid)) return
  throw new HoldfastError(
    'CONFIG',
    `A cluster runs on ${data} already (pid ${ready.pid}); HOLDFAST_DATA names another folder.`,
  )
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function welcome({ api, token, nodes }: Ready, data: string, seconds: number): string {
  const lines = nodes.map(({ id, gateway, pid }) => `  ${id.padEnd(14)} ${gateway}  pid ${pid}`)
  return `
Holdfast is ready in ${seconds.toFixed(1)} s. Its state is in ${data}; Ctrl-C stops it.

  API and console  ${api}
  token            ${token}
${lines.join('\n')}

Upload a file, pin by Kubo, and watch a copy heal:
  curl -H "Authorization: Bearer ${token}" --data-binary @README.md "${api}/v1/uploads?name=README.md"
  ipfs pin remote service add holdfast ${api}/psa ${token}
  kill -9 ${nodes.at(-1)?.pid ?? 0} && npx holdfast node ls
`
}

await run(async (signal) => {
  const config = loadConfig()
  const [verb, name] = process.argv.slice(2)
  if (verb === 'join') await joinCluster(config, name, signal)
  else if (verb === undefined) await startCluster(config, signal)
  else
    throw new HoldfastError('CONFIG', `There is no ${verb}: it starts a cluster, or with \`join\` one more node of it.`)
})
