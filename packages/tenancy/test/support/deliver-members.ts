/** A process of its own that delivers until it is killed: argument is the configuration as JSON. */
import { createTenancy } from '../../src/index.ts'

const tenancy = await createTenancy(JSON.parse(process.argv[2] ?? ''))
process.stdout.write('begins\n')
await tenancy.members.deliver()
await tenancy.close()
