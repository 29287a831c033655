import { openDatabase } from '../../services/catalog/database.ts'
import { masterKeyOf } from '../../services/catalog/master-key.ts'
import { openWakes } from '../../services/catalog/wake.ts'
import { startRepublisher } from '../../services/republisher/republisher.ts'
import { openLog } from '../../services/runtime/log.ts'
import { run } from '../../services/runtime/run.ts'

/** Runs a republisher on a database until it is stopped or killed: `node republisher-process.ts <database> <master key, hex>`. */
const [url = '', key = ''] = process.argv.slice(2)
const log = openLog('warn', {})

await run(async (signal) => {
  await using db = openDatabase(url, { connections: 4 })
  await using wakes = openWakes(db)
  process.stdout.write('running\n')
  await startRepublisher({ db, wakes, masters: [masterKeyOf(Buffer.from(key, 'hex'))], log, everyMs: 50, signal })
}, log)
