import type { Strategy, TenantHandle, TenantOptions } from '@quickscale/tenancy'
import type pg from 'pg'
import { deriveSeal, sealToken, type Token } from '../packages/tenancy/src/session/token.ts'
import { tokenKeyOf } from '../packages/tenancy/src/strategies/token-keys.ts'
import type { Arena, Installation, TenantDatabase } from './installation.ts'
import type { Ledger, Who } from './ledger.ts'
import { type Expected, type Outcome, observe, rawTypes } from './outcome.ts'
import type { Party } from './party.ts'
import { type Door, RawSession } from './raw-session.ts'

/** What every attack finds, on ours and on a naive target. */
export interface Ground {
  readonly attacker: Party
  readonly victim: Party
  readonly ledger: Ledger
  /** Superuser in the database the victim's rows are in. */
  readonly owner: pg.Client
  /** Takes what the victim has meanwhile done itself as its state. */
  rebase(): Promise<void>
}

/** Our installation under one strategy, or a clone of it that lacks one defence. */
export interface OurGround extends Ground {
  readonly strategy: Strategy
  /** Rights as on a managed server: nothing is taken from PUBLIC that only a superuser can take. */
  readonly managed: boolean
  readonly installation: Installation
  readonly arena: Arena
  /** The public API. On a clone there is none, the catalog does not know it. */
  handle(who: Who, options?: TenantOptions): TenantHandle
  /** One party's statements through the public API. */
  api(who?: Who): Door
  /** The same inside one transaction of the public API; returns what its end came to. */
  transact(who: Who, expected: Expected, work: (door: Door) => Promise<void>): Promise<Outcome>
  /**
   * A connection of the login role with its real password.
   *
   * @param at whose place it leads to; matters where each has its own database
   * @param inside whose context is entered, in an open transaction; null for nobody's
   */
  raw(options?: { at?: Who; inside?: Who | null; by?: Who }): Promise<RawSession>
  /** A token as the library would seal it for a party, but for what is given. */
  token(who: Who, changes?: TokenChanges): Token
}

export interface TokenChanges {
  readonly lifetimeMs?: number
  readonly epoch?: number
  /** Seals for this database in place of the victim's. */
  readonly databaseId?: string
}

export interface OurGroundOptions {
  readonly installation: Installation
  readonly strategy: Strategy
  readonly managed: boolean
  readonly ledger: Ledger
  readonly owner: pg.Client
  readonly rebase: () => Promise<void>
  /** A clone that stands in for the database of both parties. */
  readonly clone?: TenantDatabase
}

/** @returns the ground, and what closes every connection that was opened through it */
export function openGround(options: OurGroundOptions): { ground: OurGround; close(): Promise<void> } {
  const { installation, strategy, ledger, clone } = options
  const arena = installation.arenas[strategy]
  const sessions: RawSession[] = []
  const databaseOf = (who: Who) => clone ?? arena.databaseOf[who]
  const partyOf = (who: Who) => arena[who]
  const token = (who: Who, changes: TokenChanges = {}): Token => {
    const databaseId = changes.databaseId ?? databaseOf(who).id
    const seal = deriveSeal(
      tokenKeyOf(installation.masterKey, databaseId),
      partyOf(who).id,
      changes.epoch ?? 1,
    )
    return sealToken(seal, { actor: null, expiresAtMs: Date.now() + (changes.lifetimeMs ?? 30_000) })
  }
  const handle = (who: Who, tenantOptions?: TenantOptions): TenantHandle => {
    if (clone !== undefined) throw new Error('a clone is not in the catalog')
    return installation.tenancy().tenant(partyOf(who).slug, tenantOptions)
  }
  const ground: OurGround = {
    strategy,
    managed: options.managed,
    installation,
    arena,
    attacker: arena.attacker,
    victim: arena.victim,
    ledger,
    owner: options.owner,
    rebase: options.rebase,
    handle,
    api: (who = 'attacker') => apiDoor(handle(who), ledger, who),
    transact: async (who, expected, work) => {
      const outcome = await observe(async () => {
        await handle(who).transaction((transaction) => work(apiDoor(transaction, ledger, who)))
        return []
      })
      return ledger.note(who, 'transaction', outcome, expected)
    },
    raw: async ({ inside = 'attacker', at = inside ?? 'attacker', by = 'attacker' } = {}) => {
      const { login, password, name } = databaseOf(at)
      const { connectionString, ...config } = installation.connection(name)
      const url = new URL(connectionString ?? '')
      const session = await RawSession.open(
        { ...config, host: url.hostname, port: Number(url.port), database: name, user: login, password },
        ledger,
        by,
      )
      sessions.push(session)
      if (inside !== null) {
        await session.client.query('begin')
        await session.client.query('select quickscale.enter($1, $2, $3)', [...token(inside)])
      }
      return session
    },
    token,
  }
  return { ground, close: async () => void (await Promise.all(sessions.map((session) => session.close()))) }
}

/** The application's tables under every name the victim's may have. */
export function namesOf({ victim }: Ground, table: string): string[] {
  return [table, `${victim.schema}.${table}`, `app.${table}`]
}

function apiDoor(handle: Pick<TenantHandle, 'query'>, ledger: Ledger, who: Who): Door {
  return {
    try: async (expected: Expected, text: string, values?: readonly unknown[]) => {
      const statement = { text, rowMode: 'array' as const, types: rawTypes }
      const outcome = await observe(() =>
        handle.query(values === undefined ? statement : { ...statement, values: [...values] }),
      )
      return ledger.note(who, text, outcome, expected)
    },
  }
}
