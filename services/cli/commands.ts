import { carCommands } from './car.ts'
import { collectionCommands } from './collections.ts'
import type { Command } from './command.ts'
import { deploy } from './deploy.ts'
import { followCommands } from './follows.ts'
import { get } from './get.ts'
import { guardCommands } from './guards.ts'
import { nameCommands } from './names.ts'
import { nodeCommands } from './nodes.ts'
import { pinCommands } from './pins.ts'
import { policyCommands } from './policies.ts'
import { proofCommands } from './proofs.ts'
import { siteCommands } from './sites.ts'
import { status } from './status.ts'
import { tokenCommands } from './tokens.ts'
import { up } from './up.ts'
import { uriClassify } from './uri.ts'
import { webhookCommands } from './webhooks.ts'

/** Every command, in the order in which help shows them. */
export const COMMANDS: readonly Command[] = [
  up,
  get,
  ...pinCommands,
  deploy,
  ...siteCommands,
  ...followCommands,
  ...collectionCommands,
  ...proofCommands,
  ...guardCommands,
  status,
  ...nodeCommands,
  ...carCommands,
  ...nameCommands,
  ...policyCommands,
  ...tokenCommands,
  ...webhookCommands,
  uriClassify,
]
