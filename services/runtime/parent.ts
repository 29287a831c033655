import { SECOND_MS } from '../core/units.ts'
import type { ChildMessage } from './supervised-child.ts'

const ALIVE_EVERY_MS = 5 * SECOND_MS

/** The process that started this one, when it did so with an IPC channel. Disposing it ends the talk. */
export interface Parent extends Disposable {
  /** Aborts when the parent has died or closed the channel: nobody is left to work for. */
  readonly gone: AbortSignal
  tellReady(): void
  /** Says something else to the parent. */
  tell(message: object): void
}

/** Tells the parent that we are alive, and hears when it is not. A process without a parent never hears that. */
export function watchParent(): Parent {
  const gone = new AbortController()
  const onDisconnect = (): void => gone.abort()
  process.on('disconnect', onDisconnect)
  const timer = setInterval(() => tell({ kind: 'alive', rssBytes: process.memoryUsage.rss() }), ALIVE_EVERY_MS)
  return {
    gone: gone.signal,
    tellReady: () => tell({ kind: 'ready' }),
    tell: send,
    [Symbol.dispose]() {
      clearInterval(timer)
      process.off('disconnect', onDisconnect)
      if (process.connected) process.disconnect()
    },
  }
}

function tell(message: ChildMessage): void {
  send(message)
}

function send(message: object): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}
