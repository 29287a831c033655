/** URIs that hold their content can have a megabyte; a report shows no more of one. */
export const MOST_SHOWN = 2_048

/** What people leave in the URLs that they put into contracts. */
const SECRETS =
  /((?:pinatagatewaytoken|(?:access|auth|api)?_?-?(?:token|key)|signature|sig|password|secret)=)[^&#\s]+/gi
const USER = /^([a-z][a-z0-9+.-]*:\/\/)[^/@\s]*@/i

/** A URI as it may stand in a report: without keys and passwords. */
export function withoutSecrets(uri: string): string {
  return uri.replaceAll(SECRETS, '$1***').replace(USER, '$1***@')
}

/** Of links, of which a token can have many. */
const MOST_OF_LINK = 512

export function shownUri(uri: string): string {
  const shown = withoutSecrets(uri.slice(0, MOST_OF_LINK + 1))
  return shown.length > MOST_OF_LINK ? `${shown.slice(0, MOST_OF_LINK)}…` : shown
}
