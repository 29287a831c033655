// The ASN.1 library under x509 resolves its parts by this polyfill.
import 'reflect-metadata'
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, webcrypto } from 'node:crypto'
import { link, readFile, unlink, writeFile } from 'node:fs/promises'
import * as x509 from '@peculiar/x509'
import { HoldfastError } from '../core/errors.ts'
import { rawPublicKey, type NodeIdentity } from '../core/node-key.ts'

/** PKCS8 of an Ed25519 key is a fixed prefix and the 32 byte seed. */
const PKCS8_PREFIX_BYTES = 16

/** Self-signed certificates name nobody and are compared by key, so their dates must never be what stops a cluster. */
const NOT_BEFORE = new Date('2020-01-01T00:00:00Z')
const NOT_AFTER = new Date('9999-12-31T23:59:59Z')

/**
 * The Ed25519 identity in a key file (PEM, mode 0600), made on first use.
 * @throws CONFIG when the file is there but holds no Ed25519 key
 */
export async function loadIdentity(file: string): Promise<NodeIdentity> {
  const keyPem = (await readKey(file)) ?? (await makeKey(file))
  return identityOf(keyPem, file)
}

async function identityOf(keyPem: string, file: string): Promise<NodeIdentity> {
  const key = createPrivateKey(keyPem)
  const publicKey = rawPublicKey(createPublicKey(key))
  if (publicKey === undefined) throw new HoldfastError('CONFIG', `${file} does not hold an Ed25519 private key.`)
  const der = key.export({ type: 'pkcs8', format: 'der' })
  return {
    publicKey,
    seed: Uint8Array.from(der.subarray(PKCS8_PREFIX_BYTES)),
    keyPem,
    certificatePem: await selfSign(der, publicKey),
    sign: (message) => sign(null, Buffer.from(message), key).toString('base64url'),
  }
}

async function readKey(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Two processes may come first at once: the file appears whole under its name, and the one that lost reads the winner's. */
async function makeKey(file: string): Promise<string> {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const draft = `${file}.${process.pid}`
  await writeFile(draft, pem, { mode: 0o600, flush: true })
  try {
    await link(draft, file)
    return pem
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return await readFile(file, 'utf8')
  } finally {
    await unlink(draft)
  }
}

async function selfSign(der: Buffer, publicKey: string): Promise<string> {
  const privateKey = await webcrypto.subtle.importKey('pkcs8', Uint8Array.from(der), 'Ed25519', true, ['sign'])
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey }
  const verifying = await webcrypto.subtle.importKey('jwk', jwk, 'Ed25519', true, ['verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: 'CN=holdfast node',
      notBefore: NOT_BEFORE,
      notAfter: NOT_AFTER,
      signingAlgorithm: { name: 'Ed25519' },
      keys: { privateKey, publicKey: verifying },
    },
    webcrypto,
  )
  return certificate.toString('pem')
}
