import { isLoopbackHost } from './public-address.ts'
import { isPublicHost } from './token-uri/public-host.ts'

/**
 * Why events may not be sent to a URL, by its text alone: only https in the public internet, and this machine where the
 * operator allows it. To connect, the address that its host resolves to must be checked again.
 */
export function webhookUrlProblem(text: string, { allowsLoopback }: { allowsLoopback: boolean }): string | undefined {
  if (!URL.canParse(text)) return 'It is no URL.'
  const { protocol, hostname, username, password, hash } = new URL(text)
  if (protocol !== 'https:' && protocol !== 'http:') return 'It must be an https URL.'
  if (username !== '' || password !== '') return 'It may hold no user and no password.'
  if (hash !== '') return 'It may have no fragment.'
  if (allowsLoopback && isLoopbackHost(hostname)) return undefined
  if (protocol !== 'https:') return 'It must be an https URL.'
  return isPublicHost(hostname) ? undefined : 'Its host is none of the public internet.'
}
