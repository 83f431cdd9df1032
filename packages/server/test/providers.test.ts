import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'

const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
const strangers = generateKeyPairSync('rsa', { modulusLength: 2048 })
const clientId = 'quickscale'

let provider: Server
let issuer = ''
let installation: TestInstallation
/** What the provider says of whoever comes next, and whose key it says that with. */
let claims: Record<string, unknown> = {}
let signer = keys.privateKey

const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

function idToken(): string {
  const now = Math.floor(Date.now() / 1000)
  const text = `${base64({ alg: 'RS256', kid: 'k' })}.${base64({ iss: issuer, aud: clientId, iat: now, exp: now + 60, ...claims })}`
  return `${text}.${sign('sha256', Buffer.from(text), signer).toString('base64url')}`
}

/** The three pages of an OpenID Connect provider that a client asks itself. */
function answerAs(url: string): object {
  if (url === '/.well-known/openid-configuration') {
    return {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      userinfo_endpoint: `${issuer}/userinfo`,
      jwks_uri: `${issuer}/jwks`,
      id_token_signing_alg_values_supported: ['RS256'],
    }
  }
  if (url === '/jwks') {
    return { keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' }] }
  }
  return { access_token: 'a', token_type: 'Bearer', expires_in: 60, id_token: idToken(), ...claims }
}

beforeAll(async () => {
  provider = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answerAs(request.url ?? '')))
  })
  await new Promise<void>((done) => provider.listen(0, '127.0.0.1', done))
  const address = provider.address()
  issuer = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const discoveryUrl = `${issuer}/.well-known/openid-configuration`
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    auth: { providers: { corporate: { clientId, clientSecret: 'secret', discoveryUrl } } },
  })
})
afterAll(async () => {
  await installation.remove()
  await new Promise((done) => provider.close(done))
})

const cookiesOf = (headers: Readonly<Record<string, unknown>>) =>
  [headers['set-cookie'] ?? []]
    .flat()
    .map((cookie) => String(cookie).split(';')[0])
    .join('; ')

/** Signs in as a browser does; the answer is that of the way back. */
async function signIn(person: Record<string, unknown>, change: { state?: string; cookie?: string } = {}) {
  const begun = await send(installation.app, {
    method: 'POST',
    url: '/auth/sign-in/provider',
    payload: { provider: 'corporate' },
  })
  const { searchParams, origin } = new URL(String(begun.body.url))
  expect(origin).toBe(issuer)
  expect(searchParams.get('redirect_uri')).toBe('http://localhost/auth/callback/corporate')
  expect(searchParams.get('code_challenge')).toHaveLength(createHash('sha256').digest('base64url').length)
  claims = { ...person, nonce: searchParams.get('nonce') ?? undefined }
  const state = change.state ?? searchParams.get('state') ?? ''
  const cookie = change.cookie ?? cookiesOf(begun.headers)
  return await send(installation.app, {
    url: `/auth/callback/corporate?code=c&state=${encodeURIComponent(state)}`,
    headers: { cookie },
  })
}

const ann = { sub: '1', email: 'ann@corporate.example', email_verified: true, name: 'Ann' }
const isSignedIn = async (headers: Readonly<Record<string, unknown>>) =>
  (await send(installation.app, { url: '/auth/profile', headers: { cookie: cookiesOf(headers) } })).body.email

describe('an account with an OpenID Connect provider', () => {
  it('signs in, and is the same user the second time', async () => {
    const first = await signIn(ann)
    expect([first.status, first.headers.location]).toEqual([302, 'http://localhost'])
    expect(await isSignedIn(first.headers)).toBe(ann.email)
    expect(await isSignedIn((await signIn(ann)).headers)).toBe(ann.email)
  })

  it('is believed with its provider’s signature, and in the browser that asked', async () => {
    signer = strangers.privateKey
    expect(
      await isSignedIn((await signIn({ ...ann, sub: '2', email: 'eve@corporate.example' })).headers),
    ).toBeUndefined()
    signer = keys.privateKey
    for (const change of [{ state: 'forged' }, { cookie: '' }]) {
      expect(await isSignedIn((await signIn(ann, change)).headers)).toBeUndefined()
    }
    const foreign = { ...ann, aud: 'another-client' }
    expect(await isSignedIn((await signIn(foreign)).headers)).toBeUndefined()
  })

  it('exists only with providers of the configuration', async () => {
    const { status } = await send(installation.app, {
      method: 'POST',
      url: '/auth/sign-in/provider',
      payload: { provider: 'github' },
    })
    expect(status).toBe(404)
    expect((await send(installation.app, { url: '/auth/callback/github?code=c&state=s' })).status).toBe(404)
  })
})
