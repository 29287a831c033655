/** The peer process as a node starts it. Its settings are JSON in the first argument. SIGUSR2 is a defect. */
import { run } from '../../services/runtime/run.ts'
import { openLog } from '../../services/runtime/log.ts'
import { runPeer } from '../../services/peer/main.ts'
import type { ChildSettings } from './peer-command.ts'
import { loopbackSettings } from './test-peer.ts'

const { socketPath, storeFolder } = JSON.parse(process.argv[2] ?? '{}') as ChildSettings
const log = openLog('silent', {})

process.once('SIGUSR2', () => {
  throw new Error('a defect, by order of the test')
})

await run((signal) => runPeer({ ...loopbackSettings(), socketPath, storeFolder, log }, signal), log)
