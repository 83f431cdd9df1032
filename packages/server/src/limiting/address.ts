import { isIPv6 } from 'node:net'

/** Who has an IPv6 address has the whole /64 of it; an IPv4 address in IPv6 clothes is one of IPv4. */
export function addressKey(ip: string): string {
  const [address = ''] = ip.split('%')
  if (!isIPv6(address)) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  // As the URL standard writes it: lower case, hexadecimal, the longest run of zeros left out.
  const [before = '', after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const [head, tail] = [before, after ?? ''].map((part) => part.split(':').filter((group) => group !== ''))
  const zeros = Array.from({ length: 8 - (head?.length ?? 0) - (tail?.length ?? 0) }, () => '0')
  const groups = [...(head ?? []), ...(after === undefined ? [] : zeros), ...(tail ?? [])]
  return `${groups.slice(0, 4).join(':')}::/64`
}
