import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { HoldfastError } from '../core/errors.ts'
import type { Binaries } from './embedded-binaries.ts'
import { NOBODY } from './embedded-owner.ts'

/** The folder of an embedded server: `data` is PostgreSQL's own, beside it lie `port` (the last one) and `log`. */
export interface ServerFolder {
  path: string
  data: string
  /** Of the server's one user, `holdfast`. */
  password: string
}

/**
 * How the server is told where `data` is, when that is its working directory. Under root it runs as a user who may not
 * be allowed through the folders above (/root, a 0700 temporary folder); this link leads there without passing them.
 */
export const DATA_FROM_INSIDE = NOBODY !== undefined && process.platform === 'linux' ? '/proc/self/cwd' : undefined

const PASSWORD_FILE = 'holdfast.password'

/**
 * Opens the folder, and makes it the first time.
 * @throws CONFIG when its data are of another major version of PostgreSQL
 */
export async function openServerFolder(path: string, binaries: Binaries): Promise<ServerFolder> {
  const data = join(path, 'data')
  const version = await versionOf(data)
  if (version === undefined) await create(path, data, binaries)
  else if (version !== binaries.major) throw otherVersion(path, version, binaries.major)
  return { path, data, password: await readFile(join(data, PASSWORD_FILE), 'utf8') }
}

async function versionOf(data: string): Promise<string | undefined> {
  const text = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined)
  return text?.trim()
}

function otherVersion(path: string, found: string, ours: string): HoldfastError {
  return new HoldfastError(
    'CONFIG',
    `${path} holds a database of PostgreSQL ${found}, and this version of Holdfast brings PostgreSQL ${ours}. ` +
      `Run PostgreSQL ${found} on it and name that server in DATABASE_URL, or choose another HOLDFAST_DATA.`,
  )
}

/** `data` appears whole, by a rename: a first start that is cut short, or races with another, leaves nothing half made. */
async function create(path: string, data: string, binaries: Binaries): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  await giveToServer(path)
  const draft = await mkdtemp(join(path, 'data.new-'))
  const password = `${draft}.password`
  try {
    await writeFile(password, randomBytes(24).toString('base64url'), { mode: 0o600 })
    await giveToServer(draft)
    await giveToServer(password)
    await runInitdb(binaries, draft, password)
    await rename(password, join(draft, PASSWORD_FILE))
    await rename(draft, data)
  } catch (error) {
    if ((await versionOf(data)) === undefined) throw error
  } finally {
    await rm(password, { force: true })
    await rm(draft, { recursive: true, force: true })
  }
}

async function giveToServer(path: string): Promise<void> {
  if (NOBODY !== undefined) await chown(path, NOBODY.uid, NOBODY.gid)
}

async function runInitdb({ initdb }: Binaries, folder: string, password: string): Promise<void> {
  const passwordFromInside = DATA_FROM_INSIDE === undefined ? password : join('..', basename(password))
  const args = ['-U', 'holdfast', '-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-instructions']
  const child = spawn(initdb, ['-D', DATA_FROM_INSIDE ?? folder, `--pwfile=${passwordFromInside}`, ...args], {
    ...NOBODY,
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
  })
  const [output, complaint] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (child.exitCode !== 0) {
    throw new HoldfastError('INTERNAL_ERROR', `PostgreSQL could not be set up in ${folder}: ${complaint || output}`)
  }
}
