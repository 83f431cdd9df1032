import type { Kysely } from 'kysely'
import type { CatalogTables, TokenKeyState } from './tables.ts'

export interface TokenKeyRecord {
  readonly id: string
  readonly state: TokenKeyState
  /** When it came into this state, by the clock of the catalog's server. */
  readonly since: Date
}

/** The generations that databases may have, oldest first. */
export async function listTokenKeys(db: Kysely<CatalogTables>): Promise<TokenKeyRecord[]> {
  const keys = await db.selectFrom('token_key').selectAll().where('state', '<>', 'retired').execute()
  return keys.toSorted((a, b) => numberOf(a.id) - numberOf(b.id))
}

/** Records the generation after all there were, or finds one that is being added already. */
export async function addTokenKey(db: Kysely<CatalogTables>): Promise<string> {
  const keys = await db.selectFrom('token_key').select(['id', 'state']).execute()
  const adding = keys.find(({ state }) => state === 'adding')
  if (adding !== undefined) return adding.id
  const id = `k${Math.max(0, ...keys.map((key) => numberOf(key.id))) + 1}`
  await db.insertInto('token_key').values({ id, state: 'adding' }).execute()
  return id
}

/** From now on tokens are sealed with this generation, and no more with the one before. */
export async function sealWith(db: Kysely<CatalogTables>, id: string): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    const set = (from: TokenKeyState, to: TokenKeyState) =>
      transaction
        .updateTable('token_key')
        .set(({ fn }) => ({ state: to, since: fn('now') }))
        .where('state', '=', from)
    await set('sealing', 'retiring').execute()
    await set('adding', 'sealing').where('id', '=', id).execute()
  })
}

export async function markRetired(db: Kysely<CatalogTables>, id: string): Promise<void> {
  await db.updateTable('token_key').set({ state: 'retired' }).where('id', '=', id).execute()
}

function numberOf(id: string): number {
  return Number(id.slice(1))
}
