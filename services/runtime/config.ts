import { HoldfastError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import {
  address,
  anyText,
  count,
  duration,
  flag,
  hosts,
  labels,
  list,
  oneOf,
  port,
  size,
  text,
  url,
  urls,
} from './setting-parsers.ts'

/** One setting: how its text is read, what it is when nobody sets it, and what it means. */
interface Setting<T, Fallback extends string | undefined = string | undefined> {
  parse: (text: string) => T
  /** Undefined: the setting stays unset. */
  fallback: Fallback
  meaning: string
  secret?: true
}

type Role = 'control' | 'node'
const ROLES: readonly Role[] = ['control', 'node']

function setting<T>(parse: (text: string) => T, fallback: string, meaning: string): Setting<T, string> {
  return { parse, fallback, meaning }
}

function optional<T>(parse: (text: string) => T, meaning: string): Setting<T, undefined> {
  return { parse, fallback: undefined, meaning }
}

function secret(meaning: string): Setting<string, undefined> {
  return { parse: text, fallback: undefined, meaning, secret: true }
}

/** Every setting of every role. `docs/configuration.md` is printed from this table. */
export const SETTINGS = {
  HOLDFAST_DATA: setting(text, './.holdfast', 'Folder of all state; delete it to start afresh'),
  HOLDFAST_HOST: setting(text, '127.0.0.1', 'Address that every listener binds to'),
  HOLDFAST_LOG_LEVEL: setting(
    oneOf('trace', 'debug', 'info', 'warn', 'error'),
    'info',
    'Least severe lines that are logged',
  ),

  HOLDFAST_API_PORT: setting(port, '4100', 'API and console'),
  HOLDFAST_GATEWAY_PORT: setting(
    port,
    '4180',
    'Gateway of the first node; in the local cluster the next nodes take the following ports',
  ),
  HOLDFAST_GATEWAY_WORKERS: setting(
    count(0, 256),
    '0',
    'Gateway processes of a node, which share its port; one for each core serves the most; 0: the gateway is in the process of the node',
  ),
  HOLDFAST_SWARM_PORT: setting(port, '4190', 'libp2p of the first node; likewise'),
  HOLDFAST_METRICS_PORT: setting(
    port,
    '0',
    'Private listener for /metrics; in the local cluster the nodes take the following ports; 0: none',
  ),
  HOLDFAST_NODES: setting(
    count(1, 64),
    '3',
    'Nodes of the local cluster; regions shanghai, frankfurt, virginia, then repeating',
  ),
  DATABASE_URL: secret('Postgres to use instead of the embedded one'),
  HOLDFAST_TOKEN: secret("The first tenant's full-scope token; made and kept in the data folder when unset"),

  HOLDFAST_SECRETS_KEY: secret(
    'Control plane: seals secrets in the database, such as keys of signed URLs and secrets of webhooks; a long random text, the same for all processes',
  ),

  HOLDFAST_MASTER_KEY: secret(
    'Control plane: wraps the keys under which private keys of IPNS names are sealed; 32 bytes in base64, file: and the path of a file with that, or vault://host:port/mount/key; the same for all processes; without it names have no hosted keys. A new one stands before the old one, with a comma, until every process was restarted with both',
  ),
  HOLDFAST_VAULT_TOKEN: secret(
    'Control plane: token for master keys in Vault, or file: and the path of a file with it, which is read at each call; none when an agent in between adds it',
  ),

  HOLDFAST_URL: optional(url, 'Command line: the API to talk to; the local cluster of the folder when unset'),
  HOLDFAST_GATEWAY: optional(url, 'Command line: the gateway to read from'),

  HOLDFAST_ROLES: setting(roles, 'control,node', 'What a process of services/main.ts runs: control, node or both'),
  HOLDFAST_CONTROL_URL: setting(url, 'http://127.0.0.1:4100', 'Where a node finds the control plane'),
  HOLDFAST_JOIN_TOKEN: secret('Lets a node join the cluster the first time'),
  HOLDFAST_NODE_NAME: optional(text, 'Name of the node; made from its region when unset'),
  HOLDFAST_NODE_LABELS: setting(labels, 'region=local', 'Labels that policies speak of: region=…,zone=…,provider=…'),
  HOLDFAST_CAPACITY: optional(size, 'Bytes that the node offers; all of its disk when unset'),
  HOLDFAST_TRANSFER_PORT: setting(port, '0', 'Node-to-node transfer; 0: any free port'),
  HOLDFAST_TRANSFER_ADDRESS: optional(
    text,
    'host:port under which other nodes reach the transfer listener; its own address when unset',
  ),
  HOLDFAST_REPAIR_BYTE_RATE: optional(
    size,
    'Bytes a second of copies that other nodes make from this one, all together; readers are served beside it; any number when unset',
  ),
  HOLDFAST_GATEWAY_URL: optional(url, "URL under which readers reach this node's gateway; its own address when unset"),

  HOLDFAST_GRACE: setting(duration, '24h', 'How long content that no pin wants any more is kept'),
  HOLDFAST_SUSPECT_AFTER: setting(duration, '15s', 'Silence after which no new copies are placed on a node'),
  HOLDFAST_DOWN_AFTER: setting(duration, '30s', "Silence after which a node's copies are made again elsewhere"),
  HOLDFAST_GATEWAY_HOSTS: setting(
    hosts,
    'localhost:subdomain,example.com:subdomain',
    'Hosts of the gateway, host:class with the class subdomain, path or trustless, and perhaps :nofetch behind it; under any other host it is a path gateway',
  ),
  HOLDFAST_TRUSTED_PROXIES: setting(
    list,
    '127.0.0.0/8,::1',
    'Addresses and networks of reverse proxies, whose X-Forwarded-Host and X-Forwarded-Proto are believed',
  ),
  HOLDFAST_GATEWAY_PROXY: setting(
    flag,
    'false',
    'Whether the gateway is also the HTTP proxy of clients that send it requests for any host; it never dials out',
  ),
  HOLDFAST_DNSLINKS: setting(anyText, '', 'DNSLinks that win over DNS: name:/ipfs/…,name:/ipns/…'),
  HOLDFAST_DNS: setting(
    list,
    '',
    'Where DNSLinks are looked up: system, or addresses of DNS servers; only HOLDFAST_DNSLINKS when empty',
  ),
  HOLDFAST_CHAIN_RPC: {
    ...setting(
      urls,
      '',
      'JSON-RPC URLs of Ethereum, by which names of ENS and collections of tokens are read; none when empty',
    ),
    // Providers put their keys into URLs.
    secret: true as const,
  },
  HOLDFAST_CHAIN_QUORUM: setting(count(1, 100), '1', 'How many of HOLDFAST_CHAIN_RPC must give the same answer'),
  HOLDFAST_ENS_REGISTRY: optional(address, 'Address of the registry of ENS; that of the main chain when unset'),
  HOLDFAST_ENS_UNIVERSAL_RESOLVER: optional(
    address,
    'Address of the Universal Resolver of ENS, by which names are read before the registry is; that of the main chain when both are unset',
  ),
  HOLDFAST_PROOF_KEY: secret(
    'Control plane: signs proofs and reports of collections; a secp256k1 key, 32 bytes in hex; without it there are no proofs',
  ),
  HOLDFAST_PROOF_SIGNER: optional(
    address,
    'Address of a contract that takes signatures by HOLDFAST_PROOF_KEY for its own (ERC-1271); that of the key when unset',
  ),
  HOLDFAST_ANCHOR_KEY: secret('Control plane: pays for transactions that anchor proofs; HOLDFAST_PROOF_KEY when unset'),
  HOLDFAST_EAS: optional(
    address,
    'Contract of the Ethereum Attestation Service on the chain of HOLDFAST_CHAIN_RPC, where proofs can be anchored',
  ),
  HOLDFAST_PIN_ANCHOR: optional(address, 'Contract contracts-abi/src/PinAnchor.sol on that chain; likewise'),
  HOLDFAST_GATEWAY_REQUEST_RATE: setting(
    count(0, 1_000_000),
    '1000',
    'Requests a second that one address may send to the gateway, ten times as many at once; trusted proxies are no address; 0: any number',
  ),
  HOLDFAST_GATEWAY_BYTE_RATE: optional(
    size,
    'Bytes a second that the gateway sends to one address; any number when unset',
  ),
  HOLDFAST_GATEWAY_HOST_BYTE_RATE: optional(size, 'Bytes a second that the gateway sends under one host; likewise'),
  HOLDFAST_GATEWAY_TENANT_BYTE_RATE: optional(
    size,
    "Bytes a second that the gateway sends of one account's restricted content; likewise",
  ),
  HOLDFAST_EDGE_CACHE: optional(
    size,
    'Bytes that a node may use, beside its capacity, for copies of what other nodes hold and its readers ask for much; none when unset',
  ),
  HOLDFAST_NOFETCH: setting(
    flag,
    'true',
    'Whether the gateway answers 404 at once for what no node holds; if not, it asks the public network, but not under hosts with :nofetch',
  ),
  HOLDFAST_DHT_PROTOCOL: setting(text, '/holdfast/kad/1.0.0', 'DHT of the peers; /ipfs/kad/1.0.0 is the public one'),
  HOLDFAST_PUBSUB: setting(
    flag,
    'true',
    'Whether IPNS records are told and heard by PubSub too; the same for all processes',
  ),
  HOLDFAST_ROUTERS: setting(
    urls,
    '',
    'Delegated routers, without /routing/v1, that nodes ask for IPNS records of others and that the control plane tells those of its names',
  ),
  HOLDFAST_BOOTSTRAP: setting(list, '', 'Multiaddrs of peers to stay connected to'),
  HOLDFAST_ANNOUNCE: setting(
    list,
    '',
    'Multiaddrs under which the world reaches the peer; those it listens on when empty',
  ),
  HOLDFAST_WEBHOOK_LOOPBACK: setting(
    flag,
    'false',
    'Whether webhooks may name this machine, also without TLS, beside https in the public internet',
  ),
  HOLDFAST_DIAL_PRIVATE: setting(flag, 'false', 'Whether origins of pins may name private and loopback addresses'),
} as const satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof SETTINGS
export type Config = { readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['parse']> | Unset<Name> }
type Unset<Name extends SettingName> = (typeof SETTINGS)[Name]['fallback'] extends string ? never : undefined

/**
 * The configuration that the environment names; what it does not name has its default.
 * @throws CONFIG with one sentence for a value that cannot be read and for a HOLDFAST_ name that does not exist
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  refuseUnknown(environment)
  const entries = Object.entries(SETTINGS).map(([name, { parse, fallback }]) => {
    const value = environment[name] ?? fallback
    return [name, value === undefined ? undefined : read(name, value, parse)] as const
  })
  return Object.fromEntries(entries) as Config
}

/** The environment for a child process: that of this one, with some settings replaced. */
export function childEnvironment(
  overrides: Partial<Record<SettingName, string>>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string | undefined> {
  return { ...environment, ...overrides }
}

function read(name: string, value: string, parse: (text: string) => unknown): unknown {
  try {
    return parse(value)
  } catch (cause) {
    throw new HoldfastError('CONFIG', `${name} must be ${(cause as Error).message}; it is ${JSON.stringify(value)}.`)
  }
}

function refuseUnknown(environment: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('HOLDFAST_') || name in SETTINGS) continue
    const close = nearest(name, Object.keys(SETTINGS))
    throw new HoldfastError(
      'CONFIG',
      `There is no setting ${name}${close === undefined ? '' : `; did you mean ${close}?`}`,
    )
  }
}

function roles(value: string): Role[] {
  const named = list(value)
  const known = ROLES.filter((role) => named.includes(role))
  if (known.length === 0 || known.length !== named.length) throw new Error('control, node or control,node')
  return known
}
