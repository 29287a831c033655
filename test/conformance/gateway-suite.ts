import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Cluster } from '../support/cluster.ts'
import { carFiles, dnsLinksSetting, recordFixtures } from '../support/gateway-fixtures.ts'

/**
 * Runs the official IPFS gateway conformance suite against a started cluster: `npm run test:conformance`, with the path
 * of its `gateway-conformance` program as an argument, or with that program on PATH. It is written in Go and needs the Go
 * tool when it runs. Where it is not installed that is said aloud; the project's own tests over the same fixtures
 * (`test/unit/gateway-spec-*.test.ts`) run in any case.
 */

const CLI = resolve(import.meta.dirname, '../../services/cli/main.ts')
const DEFAULT_PROGRAM = 'gateway-conformance'

/** The exit code of a program; undefined when there is no such program. */
async function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; stdout?: 'ignore' } = {},
): Promise<number | undefined> {
  const { stdout = 'inherit', ...rest } = options
  const child = spawn(program, args, { stdio: ['ignore', stdout, 'inherit'], ...rest })
  try {
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? 1
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Puts all fixtures on the cluster by the doors that operators have. */
async function load(cluster: Cluster): Promise<void> {
  const target = ['--url', cluster.ready.api, '--token', cluster.ready.token, '--quiet']
  const code = await run(process.execPath, [CLI, 'car', 'import', '--no-pin', ...carFiles(), ...target], {
    stdout: 'ignore',
  })
  if (code !== 0) throw new Error(`the CARs could not be imported (exit code ${code})`)
  for (const { name, bytes, file } of await recordFixtures()) {
    const url = `${cluster.node(0).gateway}/routing/v1/ipns/${name}`
    const headers = { 'content-type': 'application/vnd.ipfs.ipns-record' }
    const { status } = await fetch(url, { method: 'PUT', headers, body: bytes })
    if (status !== 200) process.stdout.write(`${file} is refused with ${status}\n`)
  }
}

interface Tally {
  passed: number
  failed: string[]
  skipped: string[]
}

/** Counts the lines of `go test -json`. */
async function tallyOf(report: string): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: [], skipped: [] }
  for (const line of (await readFile(report, 'utf8')).split('\n')) {
    if (!line.startsWith('{')) continue
    const { Action: action, Test: test } = JSON.parse(line) as { Action: string; Test?: string }
    if (test === undefined) continue
    if (action === 'pass') tally.passed += 1
    if (action === 'fail') tally.failed.push(test)
    if (action === 'skip') tally.skipped.push(test)
  }
  return tally
}

async function main(program: string): Promise<number> {
  if ((await run(program, ['--version'])) === undefined) {
    process.stdout.write(
      `${program} is NOT INSTALLED, so the official gateway conformance suite was NOT RUN.\n` +
        'Install Go and: go install github.com/ipfs/gateway-conformance/cmd/gateway-conformance@v0.13.2\n' +
        'The tests of this project over the same fixtures run with: npm test\n',
    )
    return 0
  }
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-conformance-'))
  await using cleanup = new AsyncDisposableStack()
  cleanup.defer(() => rm(folder, { recursive: true, force: true }))
  const settings = { HOLDFAST_DNSLINKS: await dnsLinksSetting(), HOLDFAST_GATEWAY_PROXY: 'true' }
  const cluster = cleanup.use(await Cluster.start(settings))
  await load(cluster)
  let worst = 0
  for (const host of ['example.com', 'localhost']) {
    const { gateway } = cluster.node(0)
    const report = join(folder, `${host}.json`)
    const subdomains = `http://${host}:${new URL(gateway).port}`
    const args = ['test', '--gateway-url', gateway, '--subdomain-url', subdomains, '--json', report]
    worst = Math.max(worst, (await run(program, [...args, '--', '-timeout', '10m'], { cwd: folder })) ?? 1)
    const { passed, failed, skipped } = await tallyOf(report)
    const figures = `${passed} passed, ${failed.length} failed, ${skipped.length} skipped`
    process.stdout.write(`\n${figures} with subdomains of ${host}\n${failed.map((name) => `  ${name}\n`).join('')}`)
    if (failed.length + skipped.length > 0) worst = 1
  }
  return worst
}

process.exitCode = await main(process.argv[2] ?? DEFAULT_PROGRAM)
