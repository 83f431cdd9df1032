import { randomBytes } from 'node:crypto'
import pg from 'pg'
import {
  asAdministrator,
  type BenchInstallation,
  type BenchTenant,
  connectionsPerPool,
  idleMs,
} from './installation.ts'
import { type PeerName, peerSettings } from './peer.ts'

/** What our strategies are compared with: tables and pools that know nothing of the library. */
export interface Baseline {
  /** Plain tables; isolation is whatever the application writes into its WHERE clauses. */
  readonly raw: pg.Pool
  /** Tables whose policy believes the setting `app.tenant`. */
  readonly sequentialGuc: pg.Pool
  readonly tenants: readonly BenchTenant[]
  /** How a peer reaches tables of its own, whose policy believes the peer's setting. */
  connectionOf(peer: PeerName): pg.PoolConfig
  close(): Promise<void>
}

const tables = ['contact', 'message'] as const

/** Makes the baselines' tables beside the pooled tenants' own: same columns, keys, indexes and rows. */
export async function makeBaseline(
  installation: BenchInstallation,
  peers: readonly PeerName[],
): Promise<Baseline> {
  const url = new URL(await installation.urlOf('rls'))
  const role = `${installation.name}_plain`
  const password = randomBytes(16).toString('hex')
  await asAdministrator(url.href, async (client) => {
    const plain = client.escapeIdentifier(role)
    await client.query(
      `create role ${plain} login nosuperuser nobypassrls password ${client.escapeLiteral(password)};
       grant connect on database ${client.escapeIdentifier(url.pathname.slice(1))} to ${plain};
       grant execute on function pg_catalog.set_config(text, text, boolean) to ${plain}`,
    )
    const believed: [schema: string, setting: string | null][] = [
      ['raw', null],
      ['sequential-guc', 'app.tenant'],
      ...peers.map((peer): [string, string] => [peer, peerSettings[peer]]),
    ]
    for (const [name, setting] of believed) {
      const schema = client.escapeIdentifier(name)
      await client.query(`create schema ${schema}; grant usage on schema ${schema} to ${plain}`)
      for (const table of tables) {
        await client.query(copyOf(table, schema, plain))
        if (setting !== null) await client.query(policyOf(table, schema, setting))
      }
    }
  })
  const connectionTo = (schema: string): pg.PoolConfig => ({
    host: url.hostname,
    port: Number(url.port || '5432'),
    database: url.pathname.slice(1),
    user: role,
    password,
    max: connectionsPerPool,
    idleTimeoutMillis: idleMs,
    options: `-c search_path=${schema}`,
  })
  const pool = (schema: string) => {
    const opened = new pg.Pool(connectionTo(schema))
    // When the server goes away; the query that wants the lost connection reports it.
    opened.on('error', () => undefined)
    return opened
  }
  const raw = pool('raw')
  const sequentialGuc = pool('sequential-guc')
  return {
    raw,
    sequentialGuc,
    tenants: installation.tenants.rls,
    connectionOf: connectionTo,
    close: async () => {
      await Promise.all([raw.end(), sequentialGuc.end()])
    },
  }
}

function copyOf(table: (typeof tables)[number], schema: string, role: string): string {
  return `create table ${schema}.${table} (
            id uuid not null default gen_random_uuid(),
            name text not null,
            email text not null,
            created_at timestamptz not null default now(),
            tenant_id uuid not null,
            primary key (tenant_id, id)
          );
          create index on ${schema}.${table} (tenant_id, created_at, id);
          insert into ${schema}.${table} (id, name, email, created_at, tenant_id)
            select id, name, email, created_at, tenant_id from app.${table} order by tenant_id, created_at;
          grant select, insert on ${schema}.${table} to ${role}`
}

/** The pattern of most tutorials. Any SQL in the session can change the setting, hence it is no wall. */
function policyOf(table: (typeof tables)[number], schema: string, setting: string): string {
  const name = `${schema}.${table}`
  const believed = `current_setting('${setting}')::uuid`
  return `alter table ${name} enable row level security, force row level security,
            alter column tenant_id set default ${believed};
          create policy tenant on ${name} using (tenant_id = ${believed}) with check (tenant_id = ${believed})`
}
