import { superviseChild, type ChildCommand, type ChildLog, type SupervisedChild } from '../runtime/supervised-child.ts'
import { connectPeer, type PeerClient } from '../swarm/client.ts'

export interface PeerCommand extends ChildCommand {
  /** Where the child will listen. */
  socketPath: string
}

/** The node's peer process, which is kept running. Disposing it ends the process and waits for that. */
export interface SupervisedPeer extends SupervisedChild {
  /** Works whenever the process is up, whichever it is. */
  readonly client: PeerClient
}

interface PeerSupervision {
  log: ChildLog
  /** One that uses more memory is ended and started anew. @default no limit */
  maxRssBytes?: number
  /** One that has said nothing for this long hangs: it is killed. @default 60 s */
  hangMs?: number
}

export function supervisePeer(command: PeerCommand, options: PeerSupervision): SupervisedPeer {
  const client = connectPeer(command.socketPath)
  const child = superviseChild(command, { ...options, name: 'the peer process' })
  return {
    client,
    get pid() {
      return child.pid
    },
    ready: (within) => child.ready(within),
    send: (message) => child.send(message),
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]()
      client[Symbol.dispose]()
    },
  }
}
