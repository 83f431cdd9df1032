import type { Attack } from '../attack.ts'
import { contextAttacks } from './context.ts'
import { definerAttacks } from './definers.ts'
import { extensionAttacks } from './extensions.ts'
import { operatorRoleAttacks } from './further-logins.ts'
import { interruptionAttacks } from './interruptions.ts'
import { lateStatementAttacks } from './late-statements.ts'
import { lockAttacks } from './locks.ts'
import { nameAttacks } from './names.ts'
import { operatorAttacks } from './operators.ts'
import { oracleAttacks } from './oracles.ts'
import { partitionAttacks } from './partitions.ts'
import { pooledConnectionAttacks } from './pooled-connection.ts'
import { publicApiAttacks } from './public-api.ts'
import { referenceTableAttacks } from './reference-tables.ts'
import { roleAttacks } from './roles.ts'
import { sharedObjectAttacks } from './shared-objects.ts'
import { sideChannelAttacks } from './side-channels.ts'
import { statementAttacks } from './statements.ts'
import { tokenAttacks } from './tokens.ts'
import { transactionPoolerAttacks } from './transaction-pooler.ts'
import { writeAttacks } from './writes.ts'

/** Every attack, in the order of the report. */
export const attacks: readonly Attack[] = [
  ...contextAttacks,
  ...tokenAttacks,
  ...statementAttacks,
  ...roleAttacks,
  ...definerAttacks,
  ...operatorRoleAttacks,
  ...writeAttacks,
  ...partitionAttacks,
  ...referenceTableAttacks,
  ...oracleAttacks,
  ...operatorAttacks,
  ...nameAttacks,
  ...pooledConnectionAttacks,
  ...transactionPoolerAttacks,
  ...lockAttacks,
  ...lateStatementAttacks,
  ...interruptionAttacks,
  ...sharedObjectAttacks,
  ...extensionAttacks,
  ...publicApiAttacks,
  ...sideChannelAttacks,
]
