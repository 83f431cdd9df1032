import type { IdentifiedRequest } from './access.ts'

const NAME = 'quickscale.organization'
const YEAR_SECONDS = 31_536_000

/** A cookie with the organization that a user works in. It only names one: whether they may is looked up as ever. */
export function selectionCookie(tenantId: string, baseUrl: string): string {
  const secure = baseUrl.startsWith('https:') ? '; Secure' : ''
  return `${NAME}=${tenantId}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${YEAR_SECONDS}${secure}`
}

/** The organization that was selected, if any. */
export function readSelection({ headers }: Pick<IdentifiedRequest, 'headers'>): string | null {
  const pairs = String(headers.cookie ?? '').split(/; */)
  const found = pairs.find((pair) => pair.startsWith(`${NAME}=`))?.slice(NAME.length + 1)
  return found === undefined || found === '' ? null : found
}
