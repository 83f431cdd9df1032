import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Catalog, openCatalog } from '../src/catalog/catalog.ts'
import { limits } from '../src/limits.ts'
import { LineageMemory } from '../src/members/lineage-memory.ts'
import { outcomeOf } from './support/outcome.ts'

let sockets: Socket[]
let silent: Server
let catalog: Catalog

/** A catalog that takes a connection and says nothing. */
beforeEach(async () => {
  sockets = []
  silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  catalog = openCatalog(`postgres://nobody@127.0.0.1:${port}/nothing`, 'nothing')
})
afterEach(async () => {
  vi.useRealTimers()
  for (const socket of sockets) socket.destroy()
  silent.close()
  await catalog.close()
})

test('a catalog that takes a connection and says nothing is given up, for locks too', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const outcomes = Promise.all([
    outcomeOf(catalog.locked({ exclusive: 'x' }, async () => 'never')),
    outcomeOf(catalog.db.selectFrom('plan').select('id').execute()),
  ])
  while (sockets.length < 2) await once(silent, 'connection')
  vi.advanceTimersByTime(limits.catalogConnectMs)
  expect(await outcomes).toEqual(['CATALOG_UNREACHABLE', 'CATALOG_UNREACHABLE'])
})

test('what somebody else asks of a silent connection is not waited for by those who ask later', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const memory = new LineageMemory(catalog)
  const user = randomUUID()
  const asked = [outcomeOf(memory.read('one', user))]
  // It is asked on one connection, and listens for changes on another one.
  while (sockets.length < 2) await once(silent, 'connection')
  vi.advanceTimersByTime(limits.lineageJoinedMs)
  asked.push(outcomeOf(memory.read('one', user)))
  await once(silent, 'connection')
  expect(sockets).toHaveLength(3)
  for (const socket of sockets) socket.destroy()
  expect(await Promise.all(asked)).toEqual(['CATALOG_UNREACHABLE', 'CATALOG_UNREACHABLE'])
})
