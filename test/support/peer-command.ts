import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PeerCommand } from '../../services/node/peer-process.ts'
import { openTestStore, type TestStore } from './test-store.ts'

const PROGRAM = fileURLToPath(new URL('peer-child.ts', import.meta.url))

export interface ChildSettings {
  socketPath: string
  storeFolder: string
}

/** How to start `peer-child.ts`. */
export function peerCommand(settings: ChildSettings): PeerCommand {
  const { socketPath } = settings
  return { command: process.execPath, args: [PROGRAM, JSON.stringify(settings)], env: process.env, socketPath }
}

/** A node's store, which this process writes, and where its peer process shall listen. */
export interface TestNode extends ChildSettings, AsyncDisposable {
  store: TestStore
}

export async function openTestNode(): Promise<TestNode> {
  const store = await openTestStore()
  return {
    store,
    storeFolder: store.folder,
    socketPath: join(store.folder, 'peer.sock'),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

/** Whether the process lives. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
