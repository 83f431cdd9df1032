/** How long making a tenant takes under each strategy, beside the bare DDL that nobody can do without. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type pg from 'pg'
import { quoteIdentifier, tenantSchemaName } from '../packages/tenancy/src/identifiers.ts'
import { applyMigrations } from '../packages/tenancy/src/migrations/apply.ts'
import { createPlaceSchema, drawBlueprint } from '../packages/tenancy/src/migrations/blueprint.ts'
import { readMigrations } from '../packages/tenancy/src/migrations/files.ts'
import type { RunServer } from '../test/support/server.ts'
import { asAdministrator, type BenchInstallation, install } from './installation.ts'
import { describeMachine, type Machine } from './machine.ts'
import { median, relativeSpread, rounded } from './statistics.ts'

export interface ProvisionBenchOptions {
  /** In each, every subject makes a few tenants. */
  readonly rounds: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

interface ProvisionRow {
  readonly subject: string
  /** cold: nothing was prepared but the template. warm: a database was waiting. */
  readonly mode: Mode
  readonly p50Ms: number
  /** Median over the rounds of what one takes, divided by that of the bare DDL in the same round; null where there is none. */
  readonly ratio: number | null
}

export interface ProvisionReport {
  readonly name: 'provision'
  readonly machine: Machine
  readonly rounds: number
  /** Relative interquartile range of the bare schema's time over the rounds. */
  readonly noise: number
  readonly rows: readonly ProvisionRow[]
}

type Mode = 'cold' | 'warm'

/** Makes one tenant, or what one would need; returns what undoes it. */
type Make = () => Promise<() => Promise<unknown>>

interface Subject {
  readonly name: string
  readonly mode: Mode
  readonly baseline: string | null
  readonly make: Make
  /** How many are made one after the other before they are undone: what others make and undo empties a session's caches. */
  readonly inARow: number
  /** What one took in each round, the median. */
  readonly times: number[]
}

/** Of those that take milliseconds. */
const inARow = 5

/** Measures, prints nothing, and leaves nothing on the server. */
export async function runProvisionBench(
  server: RunServer,
  { rounds, signal, onProgress }: ProvisionBenchOptions,
): Promise<ProvisionReport> {
  const machine = await describeMachine(server)
  // One of each: the first of a process draws the blueprint.
  const installation = await install(server.url, { rls: 1, schema: 1, database: 1 }, () => undefined)
  try {
    return await asAdministrator(await installation.urlOf('schema'), async (client) => {
      const subjects = [
        subject('bare-schema', null, await bareSchema(client), { inARow }),
        subject('bare-database', null, bareDatabase(client, installation)),
        subject('rls', null, ours(installation, 'rls'), { inARow }),
        subject('schema', 'bare-schema', ours(installation, 'schema'), { inARow }),
        subject('database', 'bare-database', ours(installation, 'database')),
        subject('database', 'bare-database', await warmed(installation), { mode: 'warm' }),
      ]
      for (let round = 0; round < rounds; round += 1) {
        onProgress(`round ${round + 1} of ${rounds}`)
        for (const { make, inARow, times } of round % 2 === 0 ? subjects : subjects.toReversed()) {
          signal.throwIfAborted()
          times.push(await timeMaking(make, inARow))
        }
      }
      const noise = rounded(relativeSpread(subjects[0]?.times ?? []))
      return {
        name: 'provision',
        machine,
        rounds,
        noise,
        rows: subjects.map((each) => toRow(each, subjects)),
      }
    })
  } finally {
    await installation.drop()
  }
}

function subject(
  name: string,
  baseline: string | null,
  make: Make,
  { mode = 'cold', inARow = 1 }: Partial<Pick<Subject, 'mode' | 'inARow'>> = {},
): Subject {
  return { name, mode, baseline, make, inARow, times: [] }
}

/** @returns ms, the median */
async function timeMaking(make: Make, inARow: number): Promise<number> {
  const times: number[] = []
  const undoings: (() => Promise<unknown>)[] = []
  for (let made = 0; made < inARow; made += 1) {
    const startedMs = performance.now()
    undoings.push(await make())
    times.push(performance.now() - startedMs)
  }
  for (const undo of undoings) await undo()
  return median(times)
}

function ours({ tenancy }: BenchInstallation, plan: string): Make {
  return async () => {
    const slug = `t-${randomUUID().slice(0, 8)}`
    // With an id of its own it claims no database that waits.
    await tenancy.tenants.create({ slug, name: slug, plan, id: randomUUID() })
    return () => tenancy.tenants.delete(slug)
  }
}

/** One database waits before each measurement. */
async function warmed({ tenancy }: BenchInstallation): Promise<Make> {
  await tenancy.warm()
  return async () => {
    const slug = `t-${randomUUID().slice(0, 8)}`
    await tenancy.tenants.create({ slug, name: slug, plan: 'database' })
    return async () => {
      await tenancy.tenants.delete(slug)
      await tenancy.warm()
    }
  }
}

/** The same DDL, as it was recorded, in one string on a connection that is open. */
async function bareSchema(client: pg.Client): Promise<Make> {
  const files = await readMigrations([join(import.meta.dirname, 'migrations')])
  const place = { tenantId: randomUUID(), schema: '' }
  const first = { ...place, schema: tenantSchemaName(place.tenantId) }
  const statements: string[] = []
  await client.query(createPlaceSchema(first.schema))
  const target = { databaseName: 'bench', schema: first.schema }
  const wall = { kind: 'schema', tenantId: first.tenantId } as const
  await applyMigrations(client, { ...target, wall }, files, statements)
  const blueprint = await drawBlueprint(client, first, files, statements)
  return async () => {
    const tenantId = randomUUID()
    const schema = tenantSchemaName(tenantId)
    const text = blueprint.textFor({ schema, tenantId })
    if (text === null) throw new Error('the migrations of the benchmark have no blueprint')
    await client.query(`${createPlaceSchema(schema)};\n${text}`)
    return () => client.query(`drop schema ${quoteIdentifier(schema)} cascade`)
  }
}

function bareDatabase(client: pg.Client, { name }: BenchInstallation): Make {
  return async () => {
    const database = quoteIdentifier(`${name}_bare`)
    await client.query(
      `create database ${database} template ${quoteIdentifier(`${name}_template`)} strategy wal_log`,
    )
    return () => client.query(`drop database ${database}`)
  }
}

function toRow({ name, mode, baseline, times }: Subject, subjects: readonly Subject[]): ProvisionRow {
  const bare = subjects.find((each) => each.name === baseline)
  const ratios = times.map((ms, round) => ms / (bare?.times[round] ?? Number.NaN))
  return {
    subject: name,
    mode,
    p50Ms: rounded(median(times)),
    ratio: name.startsWith('bare-') ? 1 : bare === undefined ? null : rounded(median(ratios)),
  }
}
