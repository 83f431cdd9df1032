// Run as a process of its own, to be killed: makes the tenants named on the command line, several at a time, and says
// so. Those that are there already are left alone. `warm` makes databases wait.
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
      await tenancy.tenants.create({ slug, name: slug, plan })
    } catch (error) {
      if (!(error instanceof QuickScaleError && error.code === 'TENANT_EXISTS')) throw error
    }
    process.stdout.write(`${slug}\n`)
  }
}
await Promise.all(Array.from({ length: Number(lanes) }, work))
await tenancy.close()
