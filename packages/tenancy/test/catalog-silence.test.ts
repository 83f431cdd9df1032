import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, test, vi } from 'vitest'
import { openCatalog } from '../src/catalog/catalog.ts'
import { limits } from '../src/limits.ts'
import { outcomeOf } from './support/outcome.ts'

test('a catalog that takes a connection and says nothing is given up, for locks too', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  const catalog = openCatalog(`postgres://nobody@127.0.0.1:${port}/nothing`, 'nothing')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const outcomes = Promise.all([
      outcomeOf(catalog.locked({ exclusive: 'x' }, async () => 'never')),
      outcomeOf(catalog.db.selectFrom('plan').select('id').execute()),
    ])
    while (sockets.length < 2) await once(silent, 'connection')
    vi.advanceTimersByTime(limits.catalogConnectMs)
    expect(await outcomes).toEqual(['CATALOG_UNREACHABLE', 'CATALOG_UNREACHABLE'])
  } finally {
    vi.useRealTimers()
    for (const socket of sockets) socket.destroy()
    silent.close()
    await catalog.close()
  }
})
