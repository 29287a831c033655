import { openRecordStore } from '../../services/naming/record-store.ts'
import { importSigningKey } from '../../services/naming/signing-key.ts'
import { recordOf } from './naming.ts'

/** Puts records of ever higher sequence into a store and writes each sequence out once it is kept. */
const [folder = '', secret = ''] = process.argv.slice(2)
const key = importSigningKey(Buffer.from(secret, 'hex'))
const store = await openRecordStore(folder)
for (let sequence = 1n; ; sequence++) {
  await store.put(key.name, recordOf(key, { sequence }))
  process.stdout.write(`${sequence}\n`)
}
