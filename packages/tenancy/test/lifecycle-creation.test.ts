import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { TestInstallation } from './support/installation.ts'

/** The test server behind a network that takes its time, so that between two statements there is some. */
async function slowNetwork() {
  const url = new URL(inject('databaseUrl'))
  const behind = { port: Number(url.port || '5432'), host: url.hostname }
  const server = net.createServer(async (near) => {
    const far = net.connect(behind)
    far.on('error', () => near.destroy()).pipe(near)
    near.on('error', () => far.destroy()).on('close', () => far.destroy())
    for await (const data of near) {
      await sleep(20)
      far.write(data)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  url.hostname = '127.0.0.1'
  url.port = String(typeof address === 'object' ? address?.port : address)
  return { url: url.href, close: () => server.close() }
}

test('nobody gets into a database between its creation and its closing to the public', async () => {
  const installation = await TestInstallation.open('database')
  const network = await slowNetwork()
  try {
    const tenancy = await installation.another('database', { databaseUrl: network.url })
    const login = await installation.loginTo('one')
    await login.end()
    const { user, password, host, port } = login
    const id = crypto.randomUUID()
    const database = `${installation.name}_${id.replaceAll('-', '')}`
    const knocked: Promise<string>[] = []
    const knock = async () => {
      const client = new pg.Client({ user, password, host, port, database })
      client.on('error', () => undefined)
      const outcome = await client.connect().then(
        () => 'entered',
        () => 'refused',
      )
      await client.end()
      return outcome
    }
    const knocking = setInterval(() => knocked.push(knock()), 5)
    await tenancy.tenants.create({ slug: 'three', name: 'Three', plan: 'only', id })
    clearInterval(knocking)
    expect(new Set(await Promise.all(knocked))).toEqual(new Set(['refused']))
  } finally {
    network.close()
    await installation.close()
  }
})
