import { readFile } from 'node:fs/promises'
import { HoldfastError } from '../core/errors.ts'
import { masterKeyOf, type MasterKey, type MasterKeys } from './master-key.ts'
import { rememberUnwrapped } from './remembered-keys.ts'
import { vaultKey } from './vault-key.ts'

const KEY_BYTES = 32
/** The prefix of what is to be read from a file, as orchestrators mount secrets. */
const FILE = 'file:'

/**
 * The master keys that a setting names, with a comma between them. Each is base64 of 32 bytes; `file:` and the path of a
 * file with that; or `vault://host:port/mount/key` (`vault+http://` without TLS, `?namespace=` behind it), a key of the
 * transit engine of Vault or OpenBao, which does not leave it.
 * @param vaultToken of all of these; `file:` and a path: what is in the file at the moment
 * @throws CONFIG, without the text
 */
export async function readMasterKeys(text: string, { vaultToken }: { vaultToken?: string } = {}): Promise<MasterKeys> {
  const token = async (): Promise<string | undefined> => vaultToken && (await inFile(vaultToken))
  const [first, ...others] = await Promise.all(text.split(',').map((one) => readMasterKey(one.trim(), token)))
  return [first as MasterKey, ...others]
}

async function readMasterKey(text: string, token: () => Promise<string | undefined>): Promise<MasterKey> {
  if (/^vault(?:\+https?)?:/.test(text)) return rememberUnwrapped(vaultKey(text, { token }))
  const key = Buffer.from(await inFile(text), 'base64')
  if (key.length === KEY_BYTES) return masterKeyOf(key)
  throw new HoldfastError(
    'CONFIG',
    `HOLDFAST_MASTER_KEY must be ${KEY_BYTES} bytes in base64, file:… or vault://…, or several with commas.`,
  )
}

/** The text itself, or what is in the file that it names. @throws CONFIG */
async function inFile(text: string): Promise<string> {
  if (!text.startsWith(FILE)) return text
  try {
    return (await readFile(text.slice(FILE.length), 'utf8')).trim()
  } catch (cause) {
    throw new HoldfastError('CONFIG', `The file ${text.slice(FILE.length)} of a key cannot be read.`, { cause })
  }
}
