import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * PostgreSQL refuses to run as root, so under root it runs as `nobody`, which needs no entry in the user table.
 * Undefined: it runs as we do.
 */
export const NOBODY: { uid: number; gid: number } | undefined =
  process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined

/** Whether a user without groups may run, or pass through, the file and all folders above it. */
export async function canReach(path: string, uid: number): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    const { mode, uid: owner } = await stat(at)
    if ((mode & (owner === uid ? 0o100 : 0o001)) === 0) return false
    if (at === dirname(at)) return true
  }
}
