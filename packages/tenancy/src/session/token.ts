import { createHmac } from 'node:crypto'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'

/** The key that seals tokens for one database; derived from the master key, installed there by id. */
export interface TokenKey {
  readonly id: string
  readonly secret: Buffer
}

/** The arguments of quickscale.enter(gate_id, claims, mac). */
export type Token = readonly [gateId: string, claims: Buffer, mac: Buffer]

/** What a token says; every field is covered by the seal. */
interface TokenClaims {
  readonly actor: Actor | null
  /** Milliseconds since 1970 by the database's clock. */
  readonly expiresAtMs: number
}

/** Midnight of 2000-01-01 UTC, PostgreSQL's epoch, in milliseconds since 1970. */
const postgresEpochMs = 946_684_800_000

/**
 * The secret and the name under which one tenant's tokens are sealed in one place. The tenant's own key is derived
 * from the database's, so that the seal need not cover the name.
 */
export interface TokenSeal {
  readonly gateId: string
  readonly tenant: Buffer
  readonly secret: Buffer
}

export function deriveSeal(key: TokenKey, tenantId: string, epoch: number): TokenSeal {
  const gateId = `${tenantId}|${epoch}|${key.id}`
  const secret = createHmac('sha256', key.secret).update(gateId).digest()
  return { gateId, tenant: Buffer.from(tenantId.replaceAll('-', ''), 'hex'), secret }
}

/** Seals a token, in the layout that sql/tenant-database describes. The database recomputes the same HMAC. */
export function sealToken(seal: TokenSeal, claims: TokenClaims): Token {
  const expiry = Buffer.alloc(8)
  expiry.writeBigInt64BE(BigInt(Math.trunc(claims.expiresAtMs - postgresEpochMs)) * 1000n)
  const actor = Buffer.from(`${claims.actor?.role ?? ''}|${claims.actor?.id ?? ''}`, 'utf8')
  const text = Buffer.concat([seal.tenant, expiry, actor])
  return [seal.gateId, text, createHmac('sha256', seal.secret).update(text).digest()]
}

/** How many actors of one tenant keep their token; more than that start over. */
const actorsCached = 256

/** Tokens for one tenant in one place, sealed once and used until half of their life is over. */
export class TokenSource {
  readonly #seal: TokenSeal
  readonly #sealed = new Map<string, { token: Token; renewAtMs: number }>()

  constructor(key: TokenKey, tenantId: string, epoch: number) {
    this.#seal = deriveSeal(key, tenantId, epoch)
  }

  /** @param clockOffsetSeconds the database's clock minus ours */
  token(actor: Actor | null, clockOffsetSeconds: number): Token {
    const nowMs = Date.now()
    const actorKey = actor === null ? '' : `${actor.role}|${actor.id}`
    const known = this.#sealed.get(actorKey)
    if (known !== undefined && nowMs < known.renewAtMs) return known.token
    const expiresAtMs = nowMs + (clockOffsetSeconds + limits.tokenLifetimeSeconds) * 1000
    const token = sealToken(this.#seal, { actor, expiresAtMs })
    if (this.#sealed.size >= actorsCached) this.#sealed.clear()
    this.#sealed.set(actorKey, { token, renewAtMs: nowMs + (limits.tokenLifetimeSeconds * 1000) / 2 })
    return token
  }

  /** Forgets what was sealed, after the database called a token expired. */
  renew(): void {
    this.#sealed.clear()
  }
}

/**
 * Refuses an actor whose fields could be read as several fields of a token.
 *
 * @throws QuickScaleError `ACTOR_INVALID`
 */
export function assertActor(actor: Actor): void {
  for (const field of ['id', 'role'] as const) {
    const value: unknown = actor[field]
    const usable = typeof value === 'string' && value.length <= limits.actorFieldLengthMax
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    if (!usable || /[|\u0000-\u001f\u007f]/.test(value)) throw new QuickScaleError('ACTOR_INVALID', { field })
  }
}
