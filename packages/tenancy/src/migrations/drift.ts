import { readFileSync } from 'node:fs'
import type pg from 'pg'
import { quoteIdentifier } from '../identifiers.ts'
import { placeSearchPath } from '../layout/migrator.ts'
import { appliedMigrations, type MigrationTarget, runMigration } from './apply.ts'
import type { MigrationFile } from './files.ts'
import { digestSharedTables } from './shared-rows.ts'

const description = readFileSync(new URL('../../sql/layout/describe.sql', import.meta.url), 'utf8')

/** Where migrations are run to see what they make; never committed. */
const SCRATCH_SCHEMA = 'quickscale_drift'

/** One object that is not what the migrations of its place make. */
export interface DriftDifference {
  readonly kind: string
  readonly object: string
  /** What the migrations make; null when they make no such object. */
  readonly expected: string | null
  /** What is there; null when nothing is. */
  readonly found: string | null
  readonly remedy: string
}

/** What migrations make, by kind and object; the same for all places behind the same kind of wall. */
type Description = ReadonlyMap<string, DescribedObject>

interface DescribedObject {
  readonly kind: string
  readonly object: string
  readonly definition: string
}

/** Descriptions that were made already; of one server, because others may print the same thing otherwise. */
export type References = Map<string, Description>

/**
 * Compares a place with what the migrations it has make of an empty one. They run in a scratch schema of the same
 * database, in a transaction that is rolled back: nothing changes.
 *
 * @param client an administrator's connection to the database, outside a transaction
 * @example const differences = await findDrift(client, target, files, new Map())
 */
export async function findDrift(
  client: pg.ClientBase,
  target: MigrationTarget,
  files: readonly MigrationFile[],
  references: References,
): Promise<readonly DriftDifference[]> {
  await client.query('begin')
  try {
    const applied = await appliedMigrations(client, target)
    const gone = [...applied].flatMap(([name, digest]) => unknownMigration(files, name, digest))
    if (gone.length > 0) return gone
    const found = await describe(client, target)
    const key = [target.wall.kind, tenantOf(target) === null, ...applied.keys()].join(' ')
    const expected = references.get(key) ?? (await describeFresh(client, target, files, applied))
    references.set(key, expected)
    return compare(expected, found)
  } finally {
    await client.query('rollback')
  }
}

async function describeFresh(
  client: pg.ClientBase,
  target: MigrationTarget,
  files: readonly MigrationFile[],
  applied: ReadonlyMap<string, string>,
): Promise<Description> {
  const scratch = { ...target, schema: SCRATCH_SCHEMA }
  await client.query(
    `create schema ${quoteIdentifier(scratch.schema)} authorization quickscale_owner;
     grant usage, create on schema ${quoteIdentifier(scratch.schema)} to quickscale_migrator`,
  )
  const present = files.filter(({ name }) => applied.has(name))
  for (const file of present) await runMigration(client, scratch, file, file !== present.at(-1))
  return await describe(client, scratch)
}

async function describe(client: pg.ClientBase, target: MigrationTarget): Promise<Description> {
  await client.query(`set local search_path to ${placeSearchPath(target.schema)}`)
  const { rows } = await client.query<DescribedObject>(description, [target.schema])
  await client.query('reset search_path')
  const tenantId = tenantOf(target)
  const shared = await digestSharedTables(client, target.schema)
  const contents = shared.map(({ table, content }) => ({ kind: 'rows', object: table, definition: content }))
  return new Map(
    [...rows, ...contents].map(({ kind, object, definition }) => {
      const text = tenantId === null ? definition : definition.replaceAll(tenantId, '<tenant>')
      return [`${kind} ${object}`, { kind, object, definition: text }]
    }),
  )
}

function tenantOf({ wall }: MigrationTarget): string | null {
  return wall.kind === 'rls' ? null : wall.tenantId
}

function compare(expected: Description, found: Description): DriftDifference[] {
  const keys = [...new Set([...expected.keys(), ...found.keys()])].sort()
  return keys.flatMap((key) => {
    const [wanted, present] = [expected.get(key), found.get(key)]
    const named = wanted ?? present
    if (named === undefined || wanted?.definition === present?.definition) return []
    const { kind, object } = named
    return [
      {
        kind,
        object,
        expected: wanted?.definition ?? null,
        found: present?.definition ?? null,
        remedy: remedyOf(wanted !== undefined, present !== undefined),
      },
    ]
  })
}

function remedyOf(wanted: boolean, present: boolean): string {
  if (!present) return 'Make it again as the administrator, as it is expected here.'
  if (!wanted) return 'Drop it as the administrator, or write a migration that makes it everywhere.'
  return 'Change it back as the administrator, or write a migration that changes it everywhere.'
}

function unknownMigration(files: readonly MigrationFile[], name: string, digest: string): DriftDifference[] {
  const file = files.find((candidate) => candidate.name === name)
  if (file?.digest === digest) return []
  return [
    {
      kind: 'migration',
      object: name,
      expected: digest,
      found: file?.digest ?? null,
      remedy: 'Bring back the file that was applied, with the text it had.',
    },
  ]
}
