import { createHmac, randomBytes } from 'node:crypto'
import { tokenKeyOf } from '../../packages/tenancy/src/strategies/token-keys.ts'
import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'

/** Refusals of enter(): malformed or wrong seal. */
const forged = ['QS004']

/** Tries each token in a transaction of its own, on a connection that leads to the victim's rows. */
async function enterWith(
  ground: OurGround,
  expected: readonly string[],
  tokens: readonly (readonly unknown[])[],
): Promise<void> {
  const { schema } = ground.victim
  const session = await ground.raw({ at: 'victim', inside: null })
  for (const isolation of ['read committed', 'repeatable read', 'serializable, read only']) {
    for (const token of tokens) {
      await session.client.query(`begin isolation level ${isolation}`)
      await session.try(expected, 'select quickscale.enter($1, $2, $3)', token)
      await session.try(['QS006'], `select * from ${schema}.contact`)
      await session.try(['QS006', '25006'], `update ${schema}.contact set amount = 0`)
      await session.client.query('rollback')
    }
  }
}

async function enterWithForgedSeals(ground: OurGround): Promise<void> {
  const [gate, claims, mac] = ground.token('victim')
  const flipped = Buffer.from(mac.map((byte, index) => (index === 31 ? byte ^ 1 : byte)))
  const seals = [
    randomBytes(32),
    Buffer.alloc(32),
    flipped,
    mac.subarray(0, 31),
    Buffer.concat([mac, mac]),
    Buffer.alloc(0),
    null,
  ]
  const empty = createHmac('sha256', '').update(claims).digest()
  await enterWith(
    ground,
    forged,
    [...seals, empty].map((seal) => [gate, claims, seal]),
  )
}

/** The attacker's own valid token, with parts of it made the victim's. */
async function enterWithEditedClaims(ground: OurGround): Promise<void> {
  const theirs = ground.token('victim', { lifetimeMs: -1 })
  const [gate, claims, mac] = ground.token('attacker')
  const tenant = Buffer.from(ground.victim.id.replaceAll('-', ''), 'hex')
  const moved = Buffer.concat([tenant, claims.subarray(16)])
  const longer = Buffer.concat([claims, tenant])
  const unprintable = theirs[0].replace('|', '\n')
  const edited: readonly (readonly unknown[])[] = [
    [gate, moved, mac],
    [theirs[0], claims, mac],
    [theirs[0], moved, mac],
    [theirs[0], moved, theirs[2]],
    [theirs[0].toUpperCase(), moved, mac],
    [`${theirs[0]}%`, moved, mac],
    [unprintable, moved, mac],
    [gate, longer, mac],
    [gate, Buffer.alloc(0), mac],
    [null, claims, mac],
  ]
  await enterWith(ground, forged, edited)
}

async function changePlacement(ground: OurGround, change: string): Promise<void> {
  const { rowCount } = await ground.owner.query(
    `update quickscale.placement set ${change} where tenant_id = $1`,
    [ground.victim.id],
  )
  if (rowCount !== 1) throw new Error('the victim has no placement')
}

async function replayAfterSuspension(ground: OurGround): Promise<void> {
  const token = ground.token('victim')
  const closed = { suspended: 'QS011', archived: 'QS012', deleting: 'QS013' }
  for (const [state, refusal] of Object.entries(closed)) {
    await changePlacement(ground, `state = '${state}'`)
    await enterWith(ground, [refusal], [token])
  }
}

async function replayAfterMove(ground: OurGround): Promise<void> {
  const token = ground.token('victim')
  await changePlacement(ground, 'epoch = 2')
  await enterWith(ground, ['QS001'], [token])
  await changePlacement(ground, `state = 'moved', destination = 'elsewhere'`)
  await enterWith(ground, ['QS001'], [token])
  await changePlacement(ground, `state = 'active', destination = null, epoch = 4`)
  await enterWith(ground, ['QS001'], [token])
}

/** The library's way in, while and after the tenant is suspended in its database: the route is still cached. */
async function workThroughSuspension(ground: OurGround): Promise<void> {
  const victim = ground.api('victim')
  await victim.try(['rows'], 'select 1')
  await changePlacement(ground, `state = 'suspended'`)
  const attempt = await victim.try(['TENANT_SUSPENDED'], 'select * from contact')
  if (attempt.code === 'rows') ground.ledger.leak('a suspended tenant was served')
}

/** A database that knows nothing of the victim's, though the installation does. */
function otherDatabase({ strategy, installation }: OurGround): string {
  const { rls, database } = installation.arenas
  return strategy === 'database' ? rls.databaseOf.victim.id : database.databaseOf.victim.id
}

export const tokenAttacks: readonly Attack[] = [
  {
    id: 'token-forged-seal',
    title: "the victim's claims under a made-up, cut, doubled or missing seal",
    naive: { without: 'token-seal', run: enterWithForgedSeals },
    run: enterWithForgedSeals,
  },
  {
    id: 'token-edited-claims',
    title: "the attacker's own token, its tenant, gate or length edited",
    naive: { without: 'token-seal', run: enterWithEditedClaims },
    run: enterWithEditedClaims,
  },
  {
    id: 'token-expired',
    title: "the victim's token, replayed after it has expired",
    naive: {
      without: 'token-expiry',
      run: (ground) => enterWith(ground, ['QS005'], [ground.token('victim', { lifetimeMs: -1 })]),
    },
    run: (ground) => enterWith(ground, ['QS005'], [ground.token('victim', { lifetimeMs: -1 })]),
  },
  {
    id: 'token-after-suspension',
    title: 'a valid token, replayed after the tenant was suspended, archived or deleted',
    naive: { without: 'fence', run: replayAfterSuspension },
    run: async (ground) => {
      await workThroughSuspension(ground)
      await replayAfterSuspension(ground)
    },
  },
  {
    id: 'token-after-move',
    title: 'a valid token of an earlier epoch, replayed after the tenant has moved away and back',
    naive: { without: 'fence', run: replayAfterMove },
    run: replayAfterMove,
  },
  {
    id: 'token-other-database',
    title: 'a token sealed for the same tenant in another database',
    naive: {
      without: 'one-key-per-database',
      words: ({ masterKey, arenas }) => ({
        key: `'${tokenKeyOf(masterKey, arenas.database.databaseOf.victim.id).secret.toString('hex')}'`,
      }),
      run: (ground) =>
        enterWith(ground, forged, [ground.token('victim', { databaseId: otherDatabase(ground) })]),
    },
    run: (ground) =>
      enterWith(ground, forged, [ground.token('victim', { databaseId: otherDatabase(ground) })]),
  },
]
