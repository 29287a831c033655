import { CID } from 'multiformats/cid'
import { openBlockReader } from '../../services/blocks/reader.ts'

/** A process that opens a store read-only and answers questions on it by messages. Argument: folder. */
const reader = await openBlockReader(process.argv[2] ?? '')

async function answer(question: { cid?: string; root?: string }): Promise<object> {
  if (question.cid !== undefined) {
    const cid = CID.parse(question.cid)
    if (!reader.has(cid)) return { has: false }
    const bytes = Buffer.from((await reader.get(cid)) ?? [])
    return { has: true, size: reader.sizeOf(cid), bytes: bytes.toString('base64') }
  }
  if (question.root !== undefined) {
    const cid = CID.parse(question.root)
    const root = reader.root(cid)
    return { ...(root && { blocks: root.blocks, bytes: root.bytes }), manifest: [...reader.manifest(cid)].length }
  }
  return { blocks: reader.space().blocks }
}

process.on('message', (question: { cid?: string; root?: string }) => {
  answer(question).then(
    (answered) => process.send?.(answered),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
process.once('disconnect', () => void reader[Symbol.asyncDispose]())
process.send?.('ready')
