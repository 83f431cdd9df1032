// The client extension that Prisma documents for row-level security:
// https://github.com/prisma/prisma-client-extensions/tree/main/row-level-security
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from '@prisma/client'
import pg from 'pg'

export function open(connection) {
  const pool = new pg.Pool(connection)
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) })
  const forTenant = (tenantId) =>
    prisma.$extends({
      query: {
        async $allOperations({ args, query }) {
          const [, result] = await prisma.$transaction([
            prisma.$executeRaw`select set_config('app.tenant', ${tenantId}, true)`,
            query(args),
          ])
          return result
        },
      },
    })
  return {
    run: async (tenantId, { text, values }) => {
      const client = forTenant(tenantId)
      if (/^insert/.test(text)) return { rows: [], rowCount: await client.$executeRawUnsafe(text, ...values) }
      const rows = await client.$queryRawUnsafe(text, ...values)
      return { rows, rowCount: rows.length }
    },
    close: async () => {
      await prisma.$disconnect()
      await pool.end()
    },
  }
}
