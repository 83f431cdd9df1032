import type { Node } from 'libpg-query'

/** What becomes of one statement of a script when it is loaded as the original. */
export type Decision =
  | { readonly kind: 'run'; readonly tolerated: readonly string[] }
  /** Sent in other words. */
  | { readonly kind: 'rewrite'; readonly text: string; readonly tolerated: readonly string[] }
  /** Without a meaning for the tables and rows; `what` is counted. */
  | { readonly kind: 'ignore'; readonly what: string }
  /** Left out, and reported like an object that the layout refuses. */
  | { readonly kind: 'leave out'; readonly refusal: Refusal }
  | { readonly kind: 'encoding'; readonly name: string }
  | { readonly kind: 'standard strings'; readonly on: boolean }
  | { readonly kind: 'unusable'; readonly reason: string }

interface Refusal {
  readonly kind: string
  readonly object: string
  readonly reason: string
  readonly remedy: string
}

/** Roles, rights, owners and what else belongs to a server and not to the schema. */
const ignored: Readonly<Record<string, string>> = {
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  AlterDatabaseStmt: 'ALTER DATABASE',
  AlterDatabaseSetStmt: 'ALTER DATABASE',
  AlterDatabaseRefreshCollStmt: 'ALTER DATABASE',
  CreateRoleStmt: 'CREATE ROLE',
  AlterRoleStmt: 'ALTER ROLE',
  AlterRoleSetStmt: 'ALTER ROLE',
  DropRoleStmt: 'DROP ROLE',
  GrantStmt: 'GRANT or REVOKE',
  GrantRoleStmt: 'GRANT or REVOKE',
  AlterDefaultPrivilegesStmt: 'ALTER DEFAULT PRIVILEGES',
  AlterOwnerStmt: 'OWNER TO',
  ReassignOwnedStmt: 'REASSIGN OWNED',
  DropOwnedStmt: 'DROP OWNED',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  AlterTableSpaceOptionsStmt: 'ALTER TABLESPACE',
  SecLabelStmt: 'SECURITY LABEL',
  AlterSystemStmt: 'ALTER SYSTEM',
  ListenStmt: 'LISTEN',
  NotifyStmt: 'NOTIFY',
  CheckPointStmt: 'CHECKPOINT',
  VacuumStmt: 'VACUUM or ANALYZE',
}

const outsideSchema = new Set(['OBJECT_DATABASE', 'OBJECT_ROLE', 'OBJECT_TABLESPACE'])
/** undefined table, schema, function, object, column; what `pg_dump --clean` drops is not there yet. */
const missing = ['42P01', '3F000', '42883', '42704', '42703']
const duplicate = ['42710', '42P06']
const droppingSubcommands = new Set([
  'AT_DropConstraint',
  'AT_DropColumn',
  'AT_DropIdentity',
  'AT_ColumnDefault',
])

/** @param quote quotes an identifier */
export function decide(statement: Node, quote: (name: string) => string): Decision {
  const [type] = Object.keys(statement)
  const what = ignored[type ?? '']
  if (what !== undefined) return { kind: 'ignore', what }
  if ('VariableSetStmt' in statement) return decideSetting(statement.VariableSetStmt)
  if ('CommentStmt' in statement) {
    const { objtype } = statement.CommentStmt
    if (outsideSchema.has(objtype ?? '')) return { kind: 'ignore', what: 'COMMENT ON DATABASE or ROLE' }
    return run(objtype === 'OBJECT_EXTENSION' ? missing : [])
  }
  if ('CopyStmt' in statement) {
    const { is_from, filename, is_program } = statement.CopyStmt
    if (is_program) return { kind: 'unusable', reason: 'COPY runs a program' }
    if (filename !== undefined) return { kind: 'unusable', reason: 'COPY reads or writes another file' }
    return is_from ? run() : { kind: 'ignore', what: 'COPY TO' }
  }
  if ('AlterTableStmt' in statement) {
    const subcommands = (statement.AlterTableStmt.cmds ?? []).map((node) =>
      'AlterTableCmd' in node ? (node.AlterTableCmd.subtype ?? '') : '',
    )
    if (subcommands.every((subtype) => subtype === 'AT_ChangeOwner'))
      return { kind: 'ignore', what: 'OWNER TO' }
    return run(subcommands.every((subtype) => droppingSubcommands.has(subtype)) ? missing : [])
  }
  if ('CreateSchemaStmt' in statement) return decideSchema(statement.CreateSchemaStmt, quote)
  if ('DropStmt' in statement) return run([...missing, '2BP01'])
  if ('CreatePLangStmt' in statement || 'CreateExtensionStmt' in statement) return run(duplicate)
  return decideRare(statement)
}

function run(tolerated: readonly string[] = []): Decision {
  return { kind: 'run', tolerated }
}

function decideRare(statement: Node): Decision {
  if ('CreateSubscriptionStmt' in statement || 'AlterSubscriptionStmt' in statement) {
    return {
      kind: 'leave out',
      refusal: {
        kind: 'subscription',
        object: Object.values(statement)[0]?.subname ?? '',
        reason: 'it would bring rows from another server, past every tenant',
        remedy: 'Subscribe from a database of its own, and write to tenants through the application.',
      },
    }
  }
  if ('CreatePolicyStmt' in statement || 'AlterPolicyStmt' in statement) {
    const policy = 'CreatePolicyStmt' in statement ? statement.CreatePolicyStmt : statement.AlterPolicyStmt
    const named = (policy.roles ?? []).some(
      (role) => 'RoleSpec' in role && role.RoleSpec.roletype === 'ROLESPEC_CSTRING',
    )
    if (!named) return run()
    return {
      kind: 'leave out',
      refusal: {
        kind: 'policy',
        object: `${policy.table?.relname}.${policy.policy_name}`,
        reason: 'policies of one table are joined with OR: one more can open what the layout closes',
        remedy: 'Leave the policy out; check the actor in the application.',
      },
    }
  }
  if ('TransactionStmt' in statement && statement.TransactionStmt.kind === 'TRANS_STMT_PREPARE') {
    return { kind: 'unusable', reason: 'PREPARE TRANSACTION leaves the work to somebody else' }
  }
  return run()
}

type Setting = Extract<Node, { VariableSetStmt: unknown }>['VariableSetStmt']

function decideSetting({ name = '', args, kind }: Setting): Decision {
  const value = args?.map(constantOf)[0]
  if (name === 'client_encoding') {
    return value === undefined ? { kind: 'ignore', what: 'SET' } : { kind: 'encoding', name: value }
  }
  if (name === 'standard_conforming_strings') {
    return { kind: 'standard strings', on: value === undefined || !/^(off|false|no|0)$/i.test(value) }
  }
  if (name === 'role' || name === 'session_authorization') return { kind: 'ignore', what: 'SET ROLE' }
  if (name === 'default_tablespace') return { kind: 'ignore', what: 'SET' }
  // Newer dumps set what older servers do not know.
  return run(kind === 'VAR_SET_MULTI' ? [] : ['42704', '22023'])
}

function constantOf(node: Node): string | undefined {
  if (!('A_Const' in node)) return undefined
  const { sval, ival, boolval } = node.A_Const
  if (sval !== undefined) return sval.sval ?? ''
  if (ival !== undefined) return String(ival.ival ?? 0)
  return boolval === undefined ? undefined : String(boolval.boolval ?? false)
}

type Schema = Extract<Node, { CreateSchemaStmt: unknown }>['CreateSchemaStmt']

/** The owner is nobody's here; the name may be the owner's. */
function decideSchema(
  { schemaname, authrole, schemaElts }: Schema,
  quote: (name: string) => string,
): Decision {
  const name = schemaname ?? authrole?.rolename ?? 'public'
  const tolerated = name === 'public' ? duplicate : []
  if (authrole === undefined) return run(tolerated)
  if (schemaElts !== undefined) {
    return {
      kind: 'unusable',
      reason: 'CREATE SCHEMA … AUTHORIZATION with elements; write them as statements',
    }
  }
  return { kind: 'rewrite', text: `create schema if not exists ${quote(name)}`, tolerated }
}
