import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUIDv7 } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Database } from '../../services/catalog/database.ts'
import type { MasterKeys } from '../../services/catalog/master-key.ts'
import { createName } from '../../services/catalog/names.ts'
import { withTenantSeal } from '../../services/catalog/tenant-keys.ts'
import { createIpnsRecord } from '../../services/naming/create-record.ts'
import { generateSigningKey } from '../../services/naming/signing-key.ts'
import { CONTENT } from './naming.ts'

const LIFETIME_MS = 48 * 3_600_000

/** Hosted names with a record each, as publishing leaves them. */
export async function hostNames(
  db: Database,
  { masters, tenantId, count }: { masters: MasterKeys; tenantId: number; count: number },
): Promise<string[]> {
  const names: string[] = []
  await withTenantSeal(db, masters, tenantId, async (seal) => {
    const lane = async (): Promise<void> => {
      while (names.length < count) {
        const key = generateSigningKey()
        names.push(key.name.text)
        const id = randomUUIDv7()
        const sealedKey = seal.close(key.exportSecret(), `name ${id}`)
        const name = {
          id,
          name: key.name.text,
          label: null,
          mode: 'hosted',
          ttlMs: 60_000,
          lifetimeMs: LIFETIME_MS,
        } as const
        await createName(db, tenantId, { ...name, sealedKey }, ({ nowMs }) => ({
          ...createIpnsRecord(key, {
            value: CONTENT,
            sequence: 7n,
            validUntilMs: Math.floor(nowMs) + LIFETIME_MS,
            ttlMs: 60_000,
          }),
          target: CONTENT,
        }))
      }
    }
    await Promise.all(Array.from({ length: 4 }, lane))
  })
  return names
}

/** A republisher in a process of its own, once it runs. */
export async function spawnRepublisher(url: string, masterKey: Uint8Array): Promise<ChildProcess> {
  const program = join(import.meta.dirname, 'republisher-process.ts')
  const args = [program, url, Buffer.from(masterKey).toString('hex')]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

/** Ends a process, however, and waits for it. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}
