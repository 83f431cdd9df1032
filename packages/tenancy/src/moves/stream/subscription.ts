import type pg from 'pg'
import { LogicalReplicationService, type ReplicationClientConfig } from 'pg-logical-replication'
import { limits } from '../../limits.ts'
import { formatLsn, type Message, parseLsn, RowTexts } from './pgoutput.ts'

/** What is read from where. */
export interface StreamSource {
  readonly connection: pg.ClientConfig
  readonly slot: string
  readonly publication: string
  /** Transactions that ended before are left out; null for all that the slot has. */
  readonly from: string | null
}

/** A stream of committed changes. */
export interface Subscription {
  /** Everything up to there is durable at the other end, and may be forgotten here. */
  acknowledge(lsn: string): Promise<void>
  close(): Promise<void>
}

/** Who is told of what. */
export interface Listener {
  /** Called with each message. A promise holds up what follows until it settles. */
  onMessage(message: Message): Promise<void> | undefined
  /** Called now and then with how far the server has read its log, also while nothing in it is for this stream. */
  onPosition(lsn: bigint): void
  /** Called once when the stream ends by itself. */
  onLost(error: Error): void
}

/** Begins to read a slot. */
export async function subscribe(
  { connection, slot, publication, from }: StreamSource,
  { onMessage, onPosition, onLost }: Listener,
): Promise<Subscription> {
  // The library would acknowledge what has merely been received.
  const service = new LogicalReplicationService(
    { ...connection, replication: 'database' } as ReplicationClientConfig,
    { acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: true } },
  )
  let durable: string | null = from
  let open = true
  const lose = (error: Error) => {
    if (!open) return
    open = false
    onLost(error)
  }
  const reply = async (ping: boolean) => {
    // The library adds one, and would make the server leave out a transaction that begins right there.
    if (open && durable !== null) await service.acknowledge(formatLsn(parseLsn(durable) - 1n), ping)
  }
  service.on('error', lose)
  service.on('data', (_lsn, message: Message) => onMessage(message))
  service.on('heartbeat', async (lsn: string, _timestamp, mustRespond) => {
    onPosition(parseLsn(lsn))
    if (mustRespond) await reply(false)
  })
  // What the server asks for may be stuck behind what it has sent; and it says where it is only to who asks.
  const pinging = setInterval(() => reply(true).catch(lose), limits.streamPingMs)
  const started = new Promise<void>((resolve, reject) => {
    service.on('start', () => resolve())
    service
      .subscribe(new RowTexts({ publication }), slot, from ?? '0/00000000')
      .then(() => lose(new Error('the server has ended the stream')))
      .catch((error: Error) => {
        reject(error)
        lose(error)
      })
  })
  await started
  return {
    acknowledge: async (lsn) => {
      durable = lsn
      await reply(false)
    },
    close: async () => {
      open = false
      clearInterval(pinging)
      await service.destroy()
    },
  }
}
