import { describe, expect, it } from 'vitest'
import { resolveFromHost } from '../src/resolve/host.ts'
import { resolveFromPath } from '../src/resolve/path.ts'
import { resolveTenant } from '../src/resolve/resolver.ts'

const fromPath = (path: string) => resolveFromPath()({ path, host: '' })
const fromHost = (host: string) => resolveFromHost({ baseDomain: 'Example.com' })({ path: '/', host })

describe('resolveFromPath', () => {
  it.each([
    ['/t/acme/contacts?limit=5', 'acme'],
    ['/t/acme', 'acme'],
    ['/t/acme?x=/t/globex', 'acme'],
    ['/t/acme#/t/globex', 'acme'],
    ['/%74/%61cme/x', 'acme'],
    ['/t/a%2Fb/x', 'a/b'],
    ['/t//x', ''],
    ['/t/', ''],
    ['/t', null],
    ['/', null],
    ['', null],
    ['t/acme', null],
    ['/T/acme', null],
    ['//t/acme', null],
    ['/x/t/acme', null],
    ['/?/t/acme', null],
    ['/%2574/acme', null],
    ['/t/%zz', null],
  ])('reads %s as %s', (path, key) => {
    expect(fromPath(path)).toBe(key)
  })

  it('takes another prefix', () => {
    expect(resolveFromPath({ prefix: 'org' })({ path: '/org/acme', host: '' })).toBe('acme')
    expect(resolveFromPath({ prefix: 'org' })({ path: '/t/acme', host: '' })).toBeNull()
  })
})

describe('resolveFromHost', () => {
  it.each([
    ['acme.example.com', 'acme'],
    ['ACME.Example.COM:8080', 'acme'],
    ['acme.example.com.', 'acme'],
    ['acme.example.com.:80', 'acme'],
    ['example.com', null],
    ['.example.com', null],
    ['a.b.example.com', null],
    ['acme.example.com.evil.test', null],
    ['acmeexample.com', null],
    ['127.0.0.1:3000', null],
    ['[::1]:3000', null],
    ['', null],
  ])('reads %s as %s', (host, key) => {
    expect(fromHost(host)).toBe(key)
  })
})

describe('resolveTenant', () => {
  const resolvers = [resolveFromPath(), resolveFromHost({ baseDomain: 'example.com' })]

  it('returns what one resolver or all of them found, or null', () => {
    expect(resolveTenant(resolvers, { path: '/t/acme', host: 'example.com' })).toBe('acme')
    expect(resolveTenant(resolvers, { path: '/', host: 'acme.example.com' })).toBe('acme')
    expect(resolveTenant(resolvers, { path: '/t/acme', host: 'acme.example.com' })).toBe('acme')
    expect(resolveTenant(resolvers, { path: '/', host: 'example.com' })).toBeNull()
  })

  it.each(['/t/globex', '/t/', '/t/%67lobex'])('refuses %s on the host name of another tenant', (path) => {
    expect(() => resolveTenant(resolvers, { path, host: 'acme.example.com' })).toThrow('TENANT_AMBIGUOUS')
  })
})
