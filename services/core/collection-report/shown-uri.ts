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

export function shownUri(uri: string): string {
  const shown = withoutSecrets(uri.slice(0, MOST_SHOWN + 1))
  return shown.length > MOST_SHOWN ? `${shown.slice(0, MOST_SHOWN)}…` : shown
}
