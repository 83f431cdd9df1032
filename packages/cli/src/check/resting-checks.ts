import { readFileSync } from 'node:fs'
import { connected } from './stage.ts'

const query = readFileSync(new URL('../../sql/resting-checks.sql', import.meta.url), 'utf8')

interface RestingCheck {
  readonly drop: string
  readonly add: string
  readonly comment: string | null
  readonly name: string
  readonly relation: string
  readonly domain: string
  readonly validated: boolean
}

/**
 * Takes away the checks of a place that rows could not pass while they are loaded, though they stood beside them where they
 * come from: a check may be NOT VALID, and one that reads tables answers only a tenant.
 *
 * @returns puts them back as they were
 */
export async function restChecks({ url, schema }: { readonly url: string; readonly schema: string }) {
  const checks = await connected(url, async (client) => {
    await client.query('set search_path to pg_catalog')
    const { rows } = await client.query<RestingCheck>(query, [schema])
    for (const { drop } of rows) await client.query(drop)
    return rows
  })
  return async (): Promise<void> => {
    await connected(url, async (client) => {
      await client.query('set search_path to pg_catalog')
      for (const { add, comment, name, relation, domain, validated } of checks) {
        await client.query(add)
        if (comment !== null) await client.query(comment)
        // Nothing else says so without asking every row again.
        if (validated)
          await client.query(
            `update pg_constraint set convalidated = true
              where conname = $1 and contypid = $3
                and (conrelid = $2 or conrelid in (select relid from pg_partition_tree($2)))`,
            [name, relation, domain],
          )
      }
    })
  }
}
