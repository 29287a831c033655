import { execFile } from 'node:child_process'
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const HERE = import.meta.dirname
/** The suite brings several hundred packages: they stay out of the project's own. */
const FOLDER = resolve(HERE, '../../../node_modules/.cache/pinning-service-compliance')
const SUITE = join(FOLDER, 'node_modules/@ipfs-shipyard/pinning-service-compliance')

export interface SuiteReport {
  total: number
  passed: number
  failed: number
  success: boolean
  /** What the suite printed. */
  output: string
}

/**
 * Runs the public compliance suite of the IPFS Pinning Service API against an endpoint (the URL before `/pins`). It sends
 * a request a second and takes about a minute. Two runs at once would overwrite each other's report.
 */
export async function runSuite(endpoint: string, token: string): Promise<SuiteReport> {
  await install()
  const report = join(SUITE, 'dist/docs', `${new URL(endpoint).hostname}.json`)
  await rm(report, { force: true })
  const program = join(SUITE, 'dist/src/index.js')
  const preload = join(HERE, 'offline-spec.ts')
  const { stdout, stderr } = await run(process.execPath, ['--import', preload, program, '-s', endpoint, token], {
    cwd: FOLDER,
    maxBuffer: 64 * 1024 * 1024,
  })
  const figures = JSON.parse(await readFile(report, 'utf8')) as Omit<SuiteReport, 'output'>
  return { ...figures, output: stdout + stderr }
}

async function install(): Promise<void> {
  await mkdir(FOLDER, { recursive: true })
  const wanted = await readFile(join(HERE, 'package-lock.json'), 'utf8')
  if ((await readFile(join(FOLDER, 'installed-lock.json'), 'utf8').catch(() => '')) === wanted) return
  await copyFile(join(HERE, 'package.json'), join(FOLDER, 'package.json'))
  await copyFile(join(HERE, 'package-lock.json'), join(FOLDER, 'package-lock.json'))
  // One of its helpers would download a Kubo binary in an install script, which no check uses.
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', FOLDER], { cwd: FOLDER })
  await copyFile(join(HERE, 'package-lock.json'), join(FOLDER, 'installed-lock.json'))
}
