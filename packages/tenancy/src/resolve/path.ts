import type { TenantResolver } from './resolver.ts'

/**
 * Reads the tenant from the path: `/t/<key>/…`.
 *
 * The segments are decoded as routers decode them, so that `/%74/acme` cannot reach the route `/t/:slug` while it
 * looks like no tenant's path here.
 *
 * @param options.prefix the segment before the key; default `t`
 * @example resolveFromPath()({ path: '/t/acme/contacts?limit=5', host: '' }) // 'acme'
 */
export function resolveFromPath(options: { readonly prefix?: string } = {}): TenantResolver {
  const prefix = options.prefix ?? 't'
  return ({ path }) => {
    const [root, first, second] = path.split(/[?#]/, 1)[0]?.split('/', 3) ?? []
    if (root !== '' || first === undefined || decode(first) !== prefix || second === undefined) return null
    // An empty key is answered too: routers match it, and null would let another resolver speak for this path.
    return decode(second)
  }
}

/** A segment that cannot be decoded names nothing; routers answer it with 400. */
function decode(segment: string): string | null {
  try {
    return decodeURIComponent(segment)
  } catch (error) {
    if (error instanceof URIError) return null
    throw error
  }
}
