import { INVALID, plainUri, type Kind, type TokenUri, type Verdict } from './token-uri.ts'

type Meaning = readonly [Kind, Verdict]

/** Content-addressed networks that we do not serve. */
const ARWEAVE: Meaning = ['arweave', 'OTHER_NETWORK']
const OTHER_NETWORK: Meaning = ['other', 'OTHER_NETWORK']
/** Read by a call to a contract. */
const CHAIN: Meaning = ['chain', 'INDIRECT']
/** Runs code, reads files, or talks to a service that trusts whoever reaches it. */
const UNSAFE: Meaning = ['other', 'UNSAFE']

const MEANINGS: ReadonlyMap<string, Meaning> = new Map(
  Object.entries({
    ar: ARWEAVE,
    arweave: ARWEAVE,
    bzz: OTHER_NETWORK,
    'bzz-raw': OTHER_NETWORK,
    'bzz-immutable': OTHER_NETWORK,
    dat: OTHER_NETWORK,
    hyper: OTHER_NETWORK,
    magnet: OTHER_NETWORK,
    sia: OTHER_NETWORK,
    sj: OTHER_NETWORK,
    storj: OTHER_NETWORK,
    walrus: OTHER_NETWORK,
    web3: CHAIN,
    onchfs: CHAIN,
    'tezos-storage': CHAIN,
    about: UNSAFE,
    blob: UNSAFE,
    chrome: UNSAFE,
    dict: UNSAFE,
    expect: UNSAFE,
    file: UNSAFE,
    filesystem: UNSAFE,
    gopher: UNSAFE,
    jar: UNSAFE,
    javascript: UNSAFE,
    ldap: UNSAFE,
    ldaps: UNSAFE,
    netdoc: UNSAFE,
    phar: UNSAFE,
    php: UNSAFE,
    smb: UNSAFE,
    tftp: UNSAFE,
    vbscript: UNSAFE,
    'view-source': UNSAFE,
  }),
)

/** A token, contract or asset by CAIP-19; on Ethereum and its like with an address and a decimal id of 78 digits at most. */
const CAIP19 = /^[-a-z0-9]{3,8}:[-\w]{1,32}\/[-a-z0-9]{3,8}:[-.%\w]{1,128}(?:\/[-.%\w]{1,78})?$/i
const EIP155 = /^eip155:\d{1,32}\/(?:erc721|erc1155|erc20):0x[0-9a-f]{40}(?:\/\d{1,78})?$/i
const ASSET_OF_DID = /^did:nft:/i

/**
 * Reads a URI by its scheme alone: none of those that name content of IPFS, a web server, or hold their content.
 * @param scheme in lower case
 * @param text the whole URI
 */
export function readOther(scheme: string, text: string): TokenUri {
  const asset = text.replace(ASSET_OF_DID, '')
  if (/^eip155:/i.test(asset)) return EIP155.test(asset) ? plainUri(...CHAIN) : INVALID
  if (CAIP19.test(asset)) return plainUri(...CHAIN)
  const meaning = MEANINGS.get(scheme) ?? (['other', 'UNSUPPORTED'] as const)
  const isBare = /^[\s/?#]*$/.test(text.slice(scheme.length + 1))
  return isBare && meaning !== UNSAFE ? INVALID : plainUri(...meaning)
}
