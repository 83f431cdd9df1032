import type pg from 'pg'
import { LogicalReplicationService, type ReplicationClientConfig } from 'pg-logical-replication'
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

/**
 * Begins to read a slot. A handler that returns a promise holds up what follows until it settles.
 *
 * @param handler called with each message; also with the position the server has reached when there is nothing else
 * @param onLost called once when the stream ends by itself
 */
export async function subscribe(
  { connection, slot, publication, from }: StreamSource,
  handler: (message: Message) => Promise<void> | undefined,
  onLost: (error: Error) => void,
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
  const acknowledge = async (lsn: string) => {
    durable = lsn
    // The library adds one, and would make the server leave out a transaction that begins right there.
    if (open) await service.acknowledge(formatLsn(parseLsn(lsn) - 1n))
  }
  service.on('error', lose)
  service.on('data', (_lsn, message: Message) => handler(message))
  service.on('heartbeat', async (_lsn, _timestamp, mustRespond) => {
    if (mustRespond && durable !== null) await acknowledge(durable)
  })
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
    acknowledge,
    close: async () => {
      open = false
      await service.destroy()
    },
  }
}
