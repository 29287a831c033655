import { benchCluster } from './cluster.ts'
import { printRows, type Row } from './rows.ts'

/** Benchmarks by name; `npm run bench -- cluster` runs one. */
const BENCHES: Readonly<Record<string, () => Promise<Row[]>>> = {
  cluster: benchCluster,
}

const wanted = process.argv.slice(2)
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length === 0 || wanted.includes(name)) printRows(name, await bench())
}
