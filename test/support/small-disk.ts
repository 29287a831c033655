import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A file system of its own, mounted on a folder until it is disposed. */
export interface SmallDisk extends AsyncDisposable {
  /** Leaves no free byte. */
  fill(): Promise<void>
  /** Takes back what `fill` did. */
  free(): Promise<void>
}

/**
 * Mounts an ext4 image of that size on the folder. Fails, and says why, where this user may not mount: a suite about full
 * disks that passes without one would say something untrue.
 */
export async function mountSmallDisk(folder: string, sizeMib: number): Promise<SmallDisk> {
  const place = await mkdtemp(join(tmpdir(), 'holdfast-disk-'))
  const image = join(place, 'image')
  run('truncate', ['-s', `${sizeMib}M`, image])
  run('mkfs.ext4', ['-q', '-F', '-m', '0', image])
  run('mount', ['-o', 'loop', image, folder])
  const ballast = join(folder, 'ballast')
  return {
    async fill() {
      // The last blocks go one by one, because a large write that does not fit can leave some free.
      for (let round = 0; round < 100; round++) {
        const { bavail, bsize } = await statfs(folder)
        if (bavail === 0) return
        await writeFile(`${ballast}.${round}`, Buffer.alloc(bavail * bsize, 1)).catch(() => undefined)
      }
    },
    async free() {
      for (let round = 0; round < 100; round++) await rm(`${ballast}.${round}`, { force: true })
    },
    async [Symbol.asyncDispose]() {
      run('umount', [folder])
      await rm(place, { recursive: true, force: true })
    },
  }
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args)
  assert.equal(
    status,
    0,
    `${command}: ${error?.message ?? stderr.toString()} (these tests mount disks: run them as root)`,
  )
}
