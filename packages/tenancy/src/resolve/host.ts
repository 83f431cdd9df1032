import type { TenantResolver } from './resolver.ts'

/**
 * Reads the tenant from the host name: `<key>.<base domain>`, in any case, with or without port and final dot.
 * The base domain itself and deeper names (`a.b.<base domain>`) name no tenant.
 *
 * @param options.baseDomain without port: `example.com`
 * @example resolveFromHost({ baseDomain: 'example.com' })({ path: '/', host: 'acme.example.com:8080' }) // 'acme'
 */
export function resolveFromHost(options: { readonly baseDomain: string }): TenantResolver {
  const suffix = `.${options.baseDomain.toLowerCase()}`
  return ({ host }) => {
    const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
    if (!name.endsWith(suffix)) return null
    const label = name.slice(0, -suffix.length)
    return label === '' || label.includes('.') ? null : label
  }
}
