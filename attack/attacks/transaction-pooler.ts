import { execFileSync } from 'node:child_process'
import type { Tenancy } from '@quickscale/tenancy'
import { startPgBouncer } from '../../packages/tenancy/test/support/pgbouncer.ts'
import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import type { Who } from '../ledger.ts'
import { type Expected, type Outcome, observe, rawTypes } from '../outcome.ts'
import { RawSession } from '../raw-session.ts'

/** A way to one backend, which tenants get in turns, transaction by transaction. */
interface Multiplexer {
  readonly url: string
  stop(): Promise<void>
}

const isInstalled = (() => {
  try {
    execFileSync('pgbouncer', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

/** PgBouncer; where there is none, the server itself: the library's own pool of one connection is the multiplexer then. */
async function openMultiplexer({ installation, arena }: OurGround): Promise<Multiplexer> {
  const server = String(installation.connection('postgres').connectionString)
  if (!isInstalled) return { url: server, stop: async () => undefined }
  const { attacker, victim } = arena.databaseOf
  return await startPgBouncer(
    server,
    [attacker, victim].map(({ login: user, password }) => ({ user, password })),
  )
}

interface Behind {
  run(who: Who, expected: Expected, text: string, name?: string): Promise<Outcome>
  /** The attacker's own session at the same multiplexer; null where that is the server, and its backend another one. */
  neighbour: RawSession | null
}

async function behindMultiplexer(ground: OurGround, work: (behind: Behind) => Promise<void>): Promise<void> {
  const { installation, ledger } = ground
  const multiplexer = await openMultiplexer(ground)
  let tenancy: Tenancy | undefined
  let neighbour: RawSession | null = null
  try {
    const opened = await installation.another({ pooler: { url: multiplexer.url } })
    tenancy = opened
    if (isInstalled) {
      const { login, password, name } = ground.arena.databaseOf.attacker
      const { hostname, port } = new URL(multiplexer.url)
      const at = { host: hostname, port: Number(port), database: name, user: login, password }
      neighbour = await RawSession.open({ ...at, statement_timeout: undefined }, ledger, 'attacker')
    }
    await work({
      neighbour,
      run: async (who, expected, text, name) => {
        const statement = { text, rowMode: 'array' as const, types: rawTypes, ...(name && { name }) }
        const outcome = await observe(() => opened.tenant(ground[who].slug).query(statement))
        return ledger.note(who, text, outcome, expected)
      },
    })
  } finally {
    await neighbour?.close()
    await tenancy?.close()
    await multiplexer.stop()
  }
}

async function victimWorks(ground: OurGround, { run }: Behind): Promise<void> {
  const { rows } = await run('victim', ['rows'], 'select body from note', 'notes')
  if (rows.length !== 1) ground.ledger.leak(`the victim sees ${rows.length} of its notes, which is 1`)
}

async function reuse(ground: OurGround, behind: Behind): Promise<void> {
  const { schema, id } = ground.victim
  const settings = ['search_path', 'quickscale.context', 'row_security', 'default_transaction_read_only']
  for (const setting of settings) {
    const set = `select set_config('${setting}', 'off', false)`
    await behind.run('attacker', ['rows', '42501', '22023', 'STATEMENT_REFUSED'], set)
    await victimWorks(ground, behind)
  }
  await behind.run('attacker', ['STATEMENT_REFUSED'], 'prepare notes as delete from note returning body')
  await behind.run('attacker', ['STATEMENT_REFUSED'], 'declare kept cursor with hold for select 1')
  await behind.run('attacker', ['rows'], 'delete from note returning body', 'notes')
  await victimWorks(ground, behind)
  for (const text of [
    `select current_setting('quickscale.context', true), current_setting('search_path')`,
    'select * from note',
    `select * from ${schema}.note where tenant_id = '${id}'`,
  ])
    await behind.run('attacker', ['rows', '42501', '42P01', '3F000', 'STATEMENT_REFUSED'], text)
  const { neighbour } = behind
  if (neighbour === null) return
  const unentered = ['rows', '42501', '42P01', '3F000', 'QS006', '55000']
  for (const text of [
    `select current_setting('quickscale.context', true)`,
    `select * from ${schema}.note`,
    'select * from note',
    'select * from app.contact',
    'select name, statement from pg_prepared_statements',
    'prepare notes as select body from note',
    'execute notes',
  ]) {
    await victimWorks(ground, behind)
    const { rows } = await neighbour.try([...unentered, '26000', '42P05'], text)
    if (JSON.stringify(rows).includes(id.replaceAll('-', '')))
      ground.ledger.leak(`the victim's context is on the backend: ${text}`)
  }
  await victimWorks(ground, behind)
}

export const transactionPoolerAttacks: readonly Attack[] = [
  {
    id: 'transaction-pooler',
    title: `a backend that tenants get in turns, through ${isInstalled ? 'PgBouncer in transaction mode' : 'one connection (PgBouncer is not installed)'}`,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        await ground.request('victim', 'session').try(['rows'], 'select 1')
        await ground.request('attacker', 'none').try(['rows'], 'select * from contact')
      },
    },
    run: (ground) => behindMultiplexer(ground, (behind) => reuse(ground, behind)),
  },
]
