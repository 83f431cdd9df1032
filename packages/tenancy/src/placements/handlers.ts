import { database } from '../strategies/database.ts'
import { rls } from '../strategies/rls.ts'
import { schema } from '../strategies/schema.ts'
import type { StrategyHandler } from '../strategies/strategy.ts'
import type { Strategy } from '../tenant.ts'

/** The ways of keeping tenants apart, by name. */
export const handlers: Readonly<Record<Strategy, StrategyHandler>> = { rls, schema, database }
