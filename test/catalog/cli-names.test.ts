import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EXIT } from '../../services/cli/exit-codes.ts'
import { generateSigningKey, importSigningKey } from '../../services/naming/signing-key.ts'
import { openTestApi, type TestApi } from '../support/api.ts'
import { rawCid } from '../support/cids.ts'
import { runCli, type Ran } from '../support/run-cli.ts'

function holdfast(api: TestApi, ...words: string[]): Promise<Ran> {
  return runCli(words, { environment: { HOLDFAST_URL: api.url, HOLDFAST_TOKEN: api.token } })
}

async function says(api: TestApi, ...words: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await holdfast(api, ...words)
  assert.equal(exitCode, EXIT.ok, stderr)
  return stdout.trim()
}

test('a name is made, published, shown and forgotten', async () => {
  await using api = await openTestApi()
  const [one, two] = [rawCid('one').toString(), rawCid('two').toString()]
  const name = await says(api, 'name', 'create', 'site', '--value', one)
  assert.match(name, /^k51/)
  assert.equal(await says(api, 'name', 'publish', 'site', two), `${name} points to /ipfs/${two}`)
  const late = await holdfast(api, 'name', 'publish', 'site', one, '--if-sequence', '1')
  assert.equal(late.exitCode, EXIT.failure)
  assert.match(late.stderr, /sequence 2/)
  assert.equal(await says(api, 'name', 'get', name, '--quiet'), `/ipfs/${two}`)
  assert.equal(await says(api, 'name', 'ls'), [name, 'site', 'hosted', 'live', '2', `/ipfs/${two}`].join('\t'))
  assert.equal(await says(api, 'name', 'history', 'site', '--quiet'), `/ipfs/${two}\n/ipfs/${one}`)
  await says(api, 'name', 'rm', 'site')
  assert.equal((await holdfast(api, 'name', 'get', name)).exitCode, EXIT.notFound)
})

test('names whose keys are elsewhere are followed; what is no name is refused', async () => {
  await using api = await openTestApi()
  const { text } = generateSigningKey().name
  assert.equal(await says(api, 'name', 'create', '--watch', text), text)
  assert.equal((await holdfast(api, 'name', 'create', '--signed', 'nonsense')).exitCode, EXIT.usage)
  assert.equal((await holdfast(api, 'name', 'create', '--signed', text, '--watch', text)).exitCode, EXIT.usage)
})

test('a key goes in and out as a file that only its owner can read, and never over another file', async () => {
  await using api = await openTestApi()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-key-'))
  try {
    const key = generateSigningKey()
    const [file, out] = [join(folder, 'in.key'), join(folder, 'out.key')]
    await writeFile(file, key.exportSecret())
    assert.equal(await says(api, 'name', 'import', file, '--label', 'mine', '--ttl', '30s'), key.name.text)
    await says(api, 'name', 'export', 'mine', out)
    assert.equal(importSigningKey(await readFile(out)).name.text, key.name.text)
    assert.equal((await stat(out)).mode & 0o777, 0o600)
    assert.equal((await holdfast(api, 'name', 'export', 'mine', out)).exitCode, EXIT.usage)
    assert.equal((await holdfast(api, 'name', 'import', join(folder, 'none'))).exitCode, EXIT.usage)
  } finally {
    await rm(folder, { recursive: true })
  }
})
