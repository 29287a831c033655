import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CID } from 'multiformats/cid'
import type { BlockBatch, BlockStore, StoredRoot } from '../blocks/contract.ts'
import { denied } from '../core/denylists.ts'
import { HoldfastError } from '../core/errors.ts'
import type { RulesInForce } from '../core/rules-in-force.ts'
import { addFile } from '../dag/add-file.ts'
import { addDirectory } from '../dag/add-directory.ts'
import { DEFAULT_PROFILE, profileNamed, type ProfileName } from '../dag/profile.ts'
import { failureBody, failureOf } from '../runtime/http/errors.ts'
import { endLingering } from '../runtime/http/linger.ts'
import type { Log } from '../runtime/log.ts'
import type { Serving, TransferRoute } from '../transfer/server.ts'
import { addBlocks, addCar } from './add-car.ts'
import { readForm } from './form.ts'
import { uploadBytes } from './upload-bytes.ts'

export interface IntakeOptions {
  store: BlockStore
  /** Epoch of the node's registration. */
  epoch: () => number
  /** Files and folders of one form. @default 65,536 */
  maxParts?: number
  /** Roots that are denied are not committed. */
  rules: Pick<RulesInForce, 'denylists'>
  log: Log
}

/** The answer to an upload (docs/node-protocol.md). */
export interface Intaken {
  /** Version 1, base32, unless the profile makes version 0. */
  cid: string
  /** Absent for a CAR. */
  profile?: ProfileName
  /** Bytes of the content: of the file, of all files; for a CAR, of its blocks. */
  size: number
  /** Bytes and number of the distinct blocks. */
  bytes: number
  blocks: number
  /** False when blocks of a CAR's DAG are missing here: then nothing was committed. */
  complete: boolean
  epoch: number
}

interface Upload {
  kind: 'file' | 'directory' | 'car' | 'blocks'
  profile: ProfileName
  maxBytes: number
}

/**
 * `POST /intake?kind=file|directory|car|blocks&profile=&name=&maxBytes=`: takes an upload from a controller, streamed straight
 * to disk, and answers 201 once its root is durable here, or a failure with nothing committed.
 */
export function intake(options: IntakeOptions): TransferRoute {
  return {
    method: 'POST',
    name: 'intake',
    who: 'controller',
    async handle(request, response, serving) {
      try {
        const answer = await take(request, response, serving, options)
        await answerJson(response, 201, answer)
      } catch (error) {
        if (serving.signal.aborted) throw error
        const failure = failureOf(error, 'of the log of this node')
        if (failure.status === 500) options.log.error({ err: error }, 'an upload failed by a defect')
        await answerJson(response, failure.status, failureBody(failure))
      }
    },
  }
}

async function take(
  request: IncomingMessage,
  response: ServerResponse,
  { url, signal }: Serving,
  options: IntakeOptions,
): Promise<Intaken> {
  const upload = uploadOf(url)
  const body = uploadBytes(request, { maxBytes: upload.maxBytes, signal })
  await using batch = options.store.openBatch()
  // From here on the body is wanted; until here another node can be asked without loss.
  if (request.headers.expect !== undefined) response.writeContinue()
  const taken = await add(upload, { request, body, batch, signal, options })
  return { ...taken, epoch: options.epoch() }
}

interface Adding {
  request: IncomingMessage
  body: AsyncIterable<Uint8Array>
  batch: BlockBatch
  signal: AbortSignal
  options: IntakeOptions
}

async function add(upload: Upload, adding: Adding): Promise<Omit<Intaken, 'epoch'>> {
  const { request, body, batch, signal, options } = adding
  const refuse = (root: CID): void => {
    const denial = options.rules.denylists.block(root)
    if (denial !== undefined) throw denied(denial)
  }
  if (upload.kind === 'car')
    return await addCar(body, { batch, store: options.store, signal, maxBytes: upload.maxBytes, refuse })
  if (upload.kind === 'blocks') return await addBlocks(body, { batch, signal })
  const { profile } = upload
  const form = { contentType: request.headers['content-type'] ?? '', maxParts: options.maxParts }
  const { root, size, manifest } =
    upload.kind === 'file'
      ? await addFile(body, batch, { profile, signal })
      : await addDirectory(readForm(body, form), batch, { profile, signal })
  refuse(root)
  const stored = await batch.commitRoot(root, manifest)
  return { cid: root.toString(), profile, size, ...figures(stored), complete: true }
}

function figures({ bytes, blocks }: StoredRoot): Pick<Intaken, 'bytes' | 'blocks'> {
  return { bytes, blocks }
}

/** @throws BAD_REQUEST */
function uploadOf(url: URL): Upload {
  const kind = url.searchParams.get('kind')
  if (kind !== 'file' && kind !== 'directory' && kind !== 'car' && kind !== 'blocks') {
    throw new HoldfastError('BAD_REQUEST', 'kind must be file, directory, car or blocks.')
  }
  const maxBytes = Number(url.searchParams.get('maxBytes'))
  if (!Number.isSafeInteger(maxBytes) || maxBytes <= 0) {
    throw new HoldfastError('BAD_REQUEST', 'maxBytes must be a number of bytes.')
  }
  const profile = url.searchParams.get('profile') ?? DEFAULT_PROFILE
  profileNamed(profile)
  return { kind, profile: profile as ProfileName, maxBytes }
}

async function answerJson(response: ServerResponse, status: number, value: unknown): Promise<void> {
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    // The rest of a body that was refused must not be taken for the next request.
    ...(response.req.complete ? {} : { connection: 'close' }),
  })
  await endLingering(response, body)
}
