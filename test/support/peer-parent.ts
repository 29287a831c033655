/** A parent of a peer process that does nothing else: it prints the child's process id when the child is ready. */
import { supervisePeer } from '../../services/node/peer-process.ts'
import { peerCommand } from './peer-command.ts'
import { silentLog } from './test-peer.ts'

const supervised = supervisePeer(
  peerCommand({ socketPath: process.argv[2] ?? '', storeFolder: process.argv[3] ?? '' }),
  { log: silentLog },
)
await supervised.ready()
process.stdout.write(`${supervised.pid}\n`)
