/** IPv4 that is not the public internet (IANA special-purpose registry), and where Azure serves its metadata. */
const CLOSED_V4: readonly (readonly [network: number, bits: number])[] = (
  [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['168.63.129.16', 32],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.88.99.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
    ['224.0.0.0', 3],
  ] as const
).map(([network, bits]) => [numberOf(network), bits])

/** Names that only a private network answers. */
const CLOSED_NAMES = /(?:^|\.)(?:localhost|local|localdomain|internal|intranet|private|corp|home|lan|home\.arpa)$/

/**
 * Whether a host may be one of the public internet, by its text alone. To connect, the address that its name resolves
 * to must be checked again.
 * @param hostname as `URL` writes it: numbers in any spelling have become dotted ones, IPv6 has brackets
 */
export function isPublicHost(hostname: string): boolean {
  const host = hostname.replace(/\.$/, '')
  if (host.startsWith('[')) return isPublicV6(host.slice(1, -1))
  if (/^\d+(?:\.\d+){3}$/.test(host)) return isPublicV4(numberOf(host))
  return host.includes('.') && !CLOSED_NAMES.test(host)
}

function numberOf(dotted: string): number {
  return dotted.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

function isPublicV4(address: number): boolean {
  return !CLOSED_V4.some(([network, bits]) => address >= network && address < network + 2 ** (32 - bits))
}

/** Global unicast without what is documentation, or hides an IPv4 address: Teredo and its neighbours, 6to4. */
function isPublicV6(address: string): boolean {
  const [first = 0, second = 0] = (address.split('::', 1)[0] ?? '')
    .split(':')
    .map((group) => Number.parseInt(group, 16))
  if (first < 0x2000 || first > 0x3fff || Number.isNaN(first)) return false
  if (first === 0x2001) return second >= 0x200 && second !== 0xdb8
  return first !== 0x2002 && !(first === 0x3fff && second < 0x1000)
}
