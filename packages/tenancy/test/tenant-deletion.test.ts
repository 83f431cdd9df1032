import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

describe.each(strategies)('deleting a tenant under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
  })
  afterAll(() => installation.close())

  /** A tenant with rows, beside `two`, which has the same ones. */
  const make = async (slug: string) => {
    const { id } = await installation.tenancy.tenants.create({ slug, name: slug, plan: 'only' })
    for (const key of [slug, 'two']) {
      const tenant = installation.tenancy.tenant(key)
      await tenant.query("insert into author (id, name) values (1, 'A') on conflict do nothing")
      await tenant.query(
        "insert into note (id, body, author_id) values (1, $1, 1), (2, 'b', 1) on conflict do nothing",
        [key],
      )
    }
    return id
  }
  /** Everything on the server that has the tenant's id in its name or in a row. */
  const traces = async (id: string) => {
    const hex = id.replaceAll('-', '')
    const { rows: onServer } = await installation.inCatalog(
      `select datname::text as what from pg_database where datname like '%' || $1
       union all select rolname from pg_roles where rolname like '%' || $1
       union all select 'placement' from catalog.placement where tenant_id = $2::uuid
       union all select 'database' from catalog.database where name like '%' || $1`,
      [hex, id],
    )
    const { rows: inPool } = await installation.inDatabase(
      `${installation.name}_pool`,
      `select nspname::text as what from pg_namespace where nspname like '%' || $1
       union all select 'row' from app.note where tenant_id = $2::uuid
       union all select 'row' from app.author where tenant_id = $2::uuid
       union all select 'fence' from quickscale.placement where tenant_id = $2::uuid
       union all select 'gate' from quickscale.gate where id like $2 || '%'
       union all select 'migration' from quickscale.migration where schema_name like '%' || $1`,
      [hex, id],
    )
    return [...onServer, ...inPool].map(({ what }) => what)
  }
  const twoIsWhole = async () =>
    expect(
      (await installation.tenancy.tenant('two').query('select body from note order by id')).rows,
    ).toEqual([{ body: 'two' }, { body: 'b' }])

  test('tells first what would go, then takes it, and leaves nothing but a line that it was', async () => {
    const id = await make('three')
    const { tenants } = installation.tenancy
    const before = await traces(id)
    const would = await tenants.delete('three', { dryRun: true })
    expect(await traces(id)).toEqual(before)
    expect(await installation.tenancy.tenant('three').query('select from note')).toMatchObject({
      rowCount: 2,
    })
    const schema = strategy === 'schema' ? `tenant_${id.replaceAll('-', '')}` : 'app'
    expect(would.gone).toEqual(
      expect.arrayContaining([
        { kind: 'rows', name: `${schema}.author`, count: 1 },
        { kind: 'rows', name: `${schema}.note`, count: 2 },
      ]),
    )
    const kinds = { rls: ['fence'], schema: ['schema', 'fence'], database: ['database', 'role'] }[strategy]
    expect(
      would.gone
        .map(({ kind }) => kind)
        .filter((kind) => kind !== 'rows')
        .sort(),
    ).toEqual(kinds.sort())
    expect(await tenants.delete('three', { reason: 'contract ended' })).toEqual({
      tenantId: id,
      dryRun: false,
      gone: would.gone,
    })
    expect(await traces(id)).toEqual([])
    await twoIsWhole()
    expect(await tenants.get(id)).toMatchObject({ state: 'deleted', settled: true })
    await expect(tenants.get('three')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    for (const key of ['three', id]) {
      await expect(installation.tenancy.tenant(key).query('select 1')).rejects.toMatchObject({
        code: 'TENANT_NOT_FOUND',
      })
    }
    expect(await tenants.delete(id)).toMatchObject({ gone: [] })
    await expect(tenants.resume(id)).rejects.toMatchObject({ code: 'ILLEGAL_TRANSITION' })
    await expect(tenants.rename(id, { slug: 'back' })).rejects.toMatchObject({ code: 'TENANT_DELETED' })
    const { rows } = await installation.inCatalog(
      "select action, details ->> 'reason' as reason from catalog.audit where tenant_id = $1 order by id",
      [id],
    )
    expect(rows).toEqual([
      { action: 'tenant.created', reason: null },
      { action: 'tenant.deleting', reason: 'contract ended' },
      { action: 'tenant.deleted', reason: null },
    ])
    const again = await tenants.create({ slug: 'three', name: 'Three', plan: 'only' })
    expect(again.id).not.toBe(id)
    expect((await installation.tenancy.tenant('three').query('select from note')).rowCount).toBe(0)
    await expect(tenants.create({ slug: 'four', name: 'x', plan: 'only', id })).rejects.toMatchObject({
      code: 'TENANT_EXISTS',
    })
    await tenants.delete('three')
  })

  test('goes on where it was interrupted, wherever that was', async () => {
    const hindrances = [
      // The rows, schema or database cannot go.
      ['tenant in state deleting, place untouched', async () => undefined],
      [
        'the end of the removal fails',
        async () =>
          void (await installation.inCatalog(
            `create function catalog.refuse() returns trigger language plpgsql as $body$
             begin raise exception 'not now'; end $body$;
             create trigger refuse before delete on catalog.placement execute function catalog.refuse()`,
          )),
      ],
    ] as const
    for (const [what, hinder] of hindrances) {
      const id = await make('four')
      await hinder()
      if (what === 'the end of the removal fails') {
        await expect(installation.tenancy.tenants.delete('four')).rejects.toThrow('not now')
        await installation.inCatalog('drop function catalog.refuse cascade')
      } else {
        await installation.inCatalog(
          "update catalog.tenant set state = 'deleting', settled = false where id = $1",
          [id],
        )
      }
      await expect(
        (await installation.another(strategy)).tenant('four').query('select 1'),
      ).rejects.toMatchObject({ code: 'TENANT_DELETED' })
      expect(await installation.tenancy.tenants.sweep()).toEqual({ settled: 0, removed: 1, failed: [] })
      expect(await traces(id)).toEqual([])
      expect(await installation.tenancy.tenants.get(id)).toMatchObject({ state: 'deleted' })
      await twoIsWhole()
    }
  })

  test('refuses a parent of tenants that are there', async () => {
    const { tenants } = installation.tenancy
    await make('five')
    await tenants.create({ slug: 'child', name: 'Child', plan: 'only', parent: 'five' })
    await expect(tenants.delete('five')).rejects.toMatchObject({
      code: 'TENANT_HAS_CHILDREN',
      details: { children: 'child' },
    })
    await tenants.update('child', { parent: null })
    await tenants.delete('five')
    await tenants.delete('child')
  })
})

test.each(['rls', 'schema'] as const)(
  'a deletion under the %s strategy does not call done what is not: what is left is named, and nothing is forgotten',
  async (strategy) => {
    const installation = await TestInstallation.open(strategy)
    try {
      const { tenants } = installation.tenancy
      const { id } = await tenants.get('one')
      const pool = `${installation.name}_pool`
      // A row in the shared tables, and a trigger of somebody's that brings it back.
      await installation.inDatabase(
        pool,
        `create function public.keep() returns trigger language plpgsql as $body$
         begin insert into app.note (id, body, tenant_id) values (9, 'kept', '${id}') on conflict do nothing; return old; end $body$;
         insert into app.note (id, body, tenant_id) values (9, 'kept', '${id}');
         create trigger keep after delete on app.note for each row execute function public.keep()`,
      )
      await expect(tenants.delete('one')).rejects.toMatchObject({
        code: 'TENANT_REMAINS',
        details: { remains: '1 rows app.note' },
      })
      expect(await tenants.get('one')).toMatchObject({ state: 'deleting' })
      await installation.inDatabase(pool, 'drop function public.keep cascade')
      expect((await tenants.delete('one')).gone).toContainEqual({ kind: 'rows', name: 'app.note', count: 1 })
      expect(await tenants.get(id)).toMatchObject({ state: 'deleted' })
    } finally {
      await installation.close()
    }
  },
)

test('rows that refer to each other in circles go in one statement', async () => {
  const installation = await TestInstallation.open('rls')
  try {
    await installation.inDatabase(
      `${installation.name}_pool`,
      `alter table app.author add favourite bigint;
       alter table app.author add foreign key (tenant_id, favourite) references app.note (tenant_id, id) on delete restrict`,
    )
    const one = installation.tenancy.tenant('one')
    await one.query("insert into author (id, name) values (1, 'A')")
    await one.query("insert into note (id, body, author_id) values (1, 'a', 1)")
    await one.query('update author set favourite = 1')
    const { gone } = await installation.tenancy.tenants.delete('one')
    expect(gone).toContainEqual({ kind: 'rows', name: 'app.author', count: 1 })
  } finally {
    await installation.close()
  }
})
