import { hkdfSync, randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { TokenKey } from '../session/token.ts'

/** The generation that every installation begins with. */
const firstKeyId = 'k1'
const blockBytes = 64

/** The key that seals tokens for one database: derived, so that one database's keys open no other. */
export function tokenKeyOf(masterKey: Buffer, databaseId: string, keyId = firstKeyId): TokenKey {
  const info = `quickscale token key ${keyId}`
  return { id: keyId, secret: Buffer.from(hkdfSync('sha256', masterKey, databaseId, info, 32)) }
}

/** Puts the keys into a tenant database; the context key is made up there and then, and only once. */
export async function installKeys(client: pg.ClientBase, key: TokenKey): Promise<void> {
  const known = await client.query(
    `select exists (select from quickscale.token_key where id = $1 and inner_pad = $2 and outer_pad = $3) as token,
            exists (select from quickscale.context_key) as context`,
    [key.id, ...keyPads(key.secret)],
  )
  // Not as conditions of the INSERTs: a trigger of statements opens every gate anew even where no row was written.
  if (!known.rows[0].token) {
    await client.query(
      `insert into quickscale.token_key (id, inner_pad, outer_pad) values ($1, $2, $3)
       on conflict (id) do update set inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad`,
      [key.id, ...keyPads(key.secret)],
    )
  }
  if (known.rows[0].context) return
  const { rowCount } = await client.query(
    'insert into quickscale.context_key (inner_pad, outer_pad) values ($1, $2) on conflict do nothing',
    keyPads(randomBytes(32)),
  )
  // Without statistics the planner takes the one row for hundreds, and every policy for expensive.
  if (rowCount === 1) await client.query('analyze quickscale.context_key')
}

/** From now on no token of this key is accepted. */
export async function removeKey(client: pg.ClientBase, keyId: string): Promise<void> {
  const { rowCount } = await client.query('select from quickscale.token_key where id = $1', [keyId])
  // Not without looking: a trigger of statements opens every gate anew even where no row was deleted.
  if (rowCount === 1) await client.query('delete from quickscale.token_key where id = $1', [keyId])
}

/** The two padded blocks of HMAC (RFC 2104), for a key no longer than a block. */
export function keyPads(secret: Buffer): [inner: Buffer, outer: Buffer] {
  const pad = (byte: number) =>
    Buffer.alloc(blockBytes, byte).map((value, index) => value ^ (secret[index] ?? 0))
  return [Buffer.from(pad(0x36)), Buffer.from(pad(0x5c))]
}
