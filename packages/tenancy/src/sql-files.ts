import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { quoteQualified } from './identifiers.ts'
import { inTransaction } from './in-transaction.ts'

/** One of the library's own numbered SQL files. */
interface SqlFile {
  readonly number: number
  readonly name: string
  readonly text: string
}

type SqlDirectory = 'server' | 'catalog' | 'tenant-database'

const root = fileURLToPath(new URL('../sql/', import.meta.url))
const loaded = new Map<SqlDirectory, Promise<readonly SqlFile[]>>()

/** The files of one directory of `sql/`, in order; read once per process. */
export function sqlFiles(directory: SqlDirectory): Promise<readonly SqlFile[]> {
  const known = loaded.get(directory) ?? readSqlFiles(`${root}${directory}`)
  loaded.set(directory, known)
  return known
}

/** The `NNNN-name.sql` files of any directory, in order. */
export async function readSqlFiles(directory: string): Promise<readonly SqlFile[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort()
  return await Promise.all(
    names.map(async (name) => ({
      number: Number.parseInt(name, 10),
      name,
      text: await readFile(`${directory}/${name}`, 'utf8'),
    })),
  )
}

/** Brings the library's objects of one schema to the newest version. */
export async function upgradeObjects(
  client: pg.ClientBase,
  directory: SqlDirectory,
  schema: string,
): Promise<void> {
  await applySqlFiles(client, await sqlFiles(directory), schema)
}

/**
 * Brings the objects of one schema to the newest version, in one transaction. Several callers at once are fine:
 * the first one works, the others find it done.
 */
export async function applySqlFiles(
  client: pg.ClientBase,
  files: readonly SqlFile[],
  schema: string,
): Promise<void> {
  const versionTable = quoteQualified(schema, 'version')
  if ((await newestVersion(client, versionTable)) >= (files.at(-1)?.number ?? 0)) return
  await inTransaction(client, async () => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('quickscale upgrade', 0))")
    const exists = await client.query('select to_regclass($1) is not null as found', [versionTable])
    const versions = exists.rows[0].found
      ? await client.query(`select coalesce(max(number), 0) as newest from ${versionTable}`)
      : { rows: [{ newest: 0 }] }
    for (const file of files) {
      if (file.number <= versions.rows[0].newest) continue
      await client.query(file.text)
      await client.query(`insert into ${versionTable} (number, name) values ($1, $2)`, [
        file.number,
        file.name,
      ])
    }
  })
}

/** What is there already, without a lock: versions only grow. */
async function newestVersion(client: pg.ClientBase, versionTable: string): Promise<number> {
  try {
    const { rows } = await client.query(`select coalesce(max(number), 0) as newest from ${versionTable}`)
    return rows[0].newest
  } catch (error) {
    if (error instanceof pg.DatabaseError && noVersions.has(error.code ?? '')) return 0
    throw error
  }
}

/** No such schema, no such table. */
const noVersions = new Set(['3F000', '42P01'])
