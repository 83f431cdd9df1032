// Run as a process of its own, to be killed: makes the tenants named on the command line, several at a time, and says
// so. Those that are there already are left alone. `warm` makes databases wait, `refill` waits for that to happen by itself.
// A tenant of the plan `brought` lives in the database of the URL that the environment names.
import { setTimeout as sleep } from 'node:timers/promises'
import { createTenancy, QuickScaleError } from '../../src/index.ts'

const [config, lanes, ...slugs] = process.argv.slice(2)
const tenancy = await createTenancy(JSON.parse(config ?? ''))
const left = slugs.values()
const work = async () => {
  for (const slug of left) {
    const [plan = ''] = slug.split('-')
    process.stdout.write(`begun ${slug}\n`)
    try {
      if (slug === 'warm') {
        await tenancy.warm()
        continue
      }
      if (slug === 'refill') {
        await sleep(10_000)
        continue
      }
      const url = plan === 'brought' ? process.env.BROUGHT_URL : undefined
      await tenancy.tenants.create({
        slug,
        name: slug,
        plan,
        ...(url === undefined ? {} : { database: { url } }),
      })
    } catch (error) {
      if (!(error instanceof QuickScaleError && error.code === 'TENANT_EXISTS')) throw error
    }
    process.stdout.write(`${slug}\n`)
  }
}
await Promise.all(Array.from({ length: Number(lanes) }, work))
await tenancy.close()
