import pg from 'pg'

/** Removes every database and login role of an installation from the server. */
export async function dropInstallation(databaseUrl: string, installation: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const databases = await client.query<{ name: string }>(
      'select datname as name from pg_database where starts_with(datname, $1)',
      [`${installation}_`],
    )
    // Of moves that were interrupted: no database goes while it has one.
    const slots = `from pg_replication_slots where starts_with(database, $1)`
    await client.query(`select pg_terminate_backend(active_pid, 10000) ${slots} and active`, [
      `${installation}_`,
    ])
    await client.query(`select pg_drop_replication_slot(slot_name) ${slots}`, [`${installation}_`])
    for (const { name } of databases.rows) {
      await client.query(`drop database ${client.escapeIdentifier(name)} with (force)`)
    }
    const roles = await client.query<{ name: string }>(
      'select rolname as name from pg_roles where starts_with(rolname, $1)',
      [`${installation}_`],
    )
    for (const { name } of roles.rows) await client.query(`drop role ${client.escapeIdentifier(name)}`)
  } finally {
    await client.end()
  }
}
