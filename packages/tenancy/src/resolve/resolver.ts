import { QuickScaleError } from '../errors.ts'

/** What a resolver may look at; every adapter builds it from its framework's request. */
export interface RequestDescription {
  /** The request target as received, still percent-encoded: `/t/acme/contacts?limit=5`. */
  readonly path: string
  /** The Host header, port included: `acme.example.com:8080`; empty when there is none. */
  readonly host: string
}

/** Reads a tenant key (slug or uuid) from a request, or null where it names none. It proves nothing about access. */
export type TenantResolver = (request: RequestDescription) => string | null

/**
 * Asks every resolver. A request that names two tenants is nobody's: no resolver wins over another.
 *
 * @returns the key, or null when no resolver found one
 * @throws QuickScaleError `TENANT_AMBIGUOUS` when two resolvers found different keys.
 * @example resolveTenant([resolveFromPath(), resolveFromHost({ baseDomain: 'example.com' })], request)
 */
export function resolveTenant(
  resolvers: readonly TenantResolver[],
  request: RequestDescription,
): string | null {
  const keys = new Set<string>()
  for (const resolve of resolvers) {
    const key = resolve(request)
    if (key !== null) keys.add(key)
  }
  const [key = null, ...others] = keys
  if (others.length > 0) throw new QuickScaleError('TENANT_AMBIGUOUS', { keys: [...keys].join(', ') })
  return key
}
