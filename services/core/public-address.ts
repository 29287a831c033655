import { isPublicHost } from './token-uri/public-host.ts'

/** An address that a host resolves to. */
export interface FoundAddress {
  address: string
  /** 4 or 6. */
  family: number
}

/** Finds the addresses of a host, in the shape in which a socket asks for them (`lookup` of `net.connect`). */
export type AddressLookup = (
  hostname: string,
  options: { all?: boolean | undefined },
  done: (error: Error | null, found: string | FoundAddress[], family?: number) => void,
) => void

/**
 * A lookup that finds only addresses of the public internet. It checks what a host resolves to at the moment of
 * connecting, so that a second answer of DNS cannot differ. It asks for all addresses, whatever it is asked for: the
 * socket tries others when the first does not answer. A host that is written as an address is not looked up: that is for
 * {@link isPublicHost} to check before.
 */
export function publicOnly(lookUp: AddressLookup): AddressLookup {
  return onlyAddresses(lookUp, isPublicAddress, 'The host is none of the public internet.')
}

/** A lookup that finds only addresses of this machine. */
export function loopbackOnly(lookUp: AddressLookup): AddressLookup {
  return onlyAddresses(lookUp, ({ address }) => isLoopback(address), 'The host is not this machine.')
}

function onlyAddresses(
  lookUp: AddressLookup,
  isAllowed: (found: FoundAddress) => boolean,
  complaint: string,
): AddressLookup {
  return (hostname, options, done) => {
    lookUp(hostname, { ...options, all: true }, (error, found) => {
      const addresses = Array.isArray(found) ? found : []
      const [first] = addresses
      if (error !== null) return done(error, [])
      if (first === undefined || !addresses.every(isAllowed)) return done(new Error(complaint), [])
      return options.all === true ? done(null, addresses) : done(null, first.address, first.family)
    })
  }
}

function isPublicAddress({ address, family }: FoundAddress): boolean {
  return isPublicHost(family === 6 ? `[${address}]` : address)
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^127(?:\.\d{1,3}){3}$/.test(address)
}

/** Whether a host is this machine, by its text alone. @param hostname as `URL` writes it */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))
}
