import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { defineModule } from '../module.ts'

/** What every application has in each tenant's place: answers that are kept for their Idempotency-Key. */
export const platform = defineModule({
  name: 'platform',
  needs: [],
  migrations: fileURLToPath(new URL('../../../migrations/platform', import.meta.url)),
  constraints: {},
  options: z.strictObject({}),
  routes: () => [],
})
