import { benchApiPins } from './api-pins.ts'
import { benchBlocks } from './blocks.ts'
import { benchChain } from './chain.ts'
import { benchCluster } from './cluster.ts'
import { benchCollections } from './collections.ts'
import { benchDenylist } from './denylist.ts'
import { benchEdge } from './edge.ts'
import { benchGateway } from './gateway.ts'
import { benchGuard } from './guard.ts'
import { benchNames } from './names.ts'
import { benchNaming } from './naming.ts'
import { benchPins } from './pins.ts'
import { benchProof } from './proof.ts'
import { benchRemote } from './remote.ts'
import { printRows, type Row } from './rows.ts'
import { benchTokenUris } from './token-uris.ts'
import { benchTransfer } from './transfer.ts'

/** Benchmarks by name; `npm run bench -- cluster` runs one. */
const BENCHES: Readonly<Record<string, () => Promise<Row[]>>> = {
  blocks: benchBlocks,
  cluster: benchCluster,
  transfer: benchTransfer,
  gateway: benchGateway,
  edge: benchEdge,
  remote: benchRemote,
  denylist: benchDenylist,
  pins: benchPins,
  api: benchApiPins,
  naming: benchNaming,
  names: benchNames,
  uris: benchTokenUris,
  chain: benchChain,
  collections: benchCollections,
  proof: benchProof,
  guard: benchGuard,
}

const wanted = process.argv.slice(2)
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length === 0 || wanted.includes(name)) printRows(name, await bench())
}
