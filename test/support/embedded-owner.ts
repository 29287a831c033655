import { startEmbedded } from '../../services/catalog/embedded.ts'

/** A process that starts the server on the folder it is told, says where it is, and does nothing more. */
const folder = process.argv[2] ?? ''
const server = await startEmbedded({ folder })
process.stdout.write(`${server.url}\n`)
setInterval(() => undefined, 60_000)
