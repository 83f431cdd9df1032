/** What one schema holds, as the catalogs say; the input of everything in compile/. Names are as stored, unquoted. */
export interface Shape {
  readonly schema: { readonly name: string; readonly owner: string; readonly grants: readonly Grant[] }
  readonly tables: readonly Table[]
  readonly views: readonly View[]
  readonly sequences: readonly Sequence[]
  readonly types: readonly OwnType[]
  readonly routines: readonly Routine[]
  readonly triggers: readonly Trigger[]
  /** Tables fitMigration() made for foreign keys to tables that are complete already; gone after completion. */
  readonly standIns: readonly StandIn[]
  /** Objects of a kind that nothing here knows, or that are attached to one from elsewhere, or lie elsewhere. */
  readonly strangers: readonly { readonly kind: string; readonly object: string; readonly where: string }[]
  /** What tables and views use that is neither built in nor in the schema. */
  readonly outsiders: readonly Outsider[]
  readonly defaultGrants: number
}

export interface Outsider {
  readonly kind: string
  readonly object: string
  readonly uses: string
  readonly schema: string | null
  /** The extension it belongs to. */
  readonly extension: string | null
}

export interface Grant {
  readonly grantee: string
  readonly privilege: string
  readonly grantable: boolean
}

export interface Relation {
  readonly oid: string
  readonly name: string
  readonly kind: string
  readonly persistence: string
  readonly owner: string
  readonly foreignAccessMethod: boolean
  readonly ownTablespace: boolean
  readonly replicaIdentity: string
  readonly rowSecurity: boolean
  readonly forcedRowSecurity: boolean
  readonly typed: boolean
  readonly inherits: boolean
  /** The table it is a partition of, whose columns, keys and indexes it has. */
  readonly partitionOf: string | null
  readonly options: readonly string[]
  readonly grants: readonly Grant[]
  readonly columns: readonly Column[]
}

export interface Table extends Relation {
  /** Completed by an earlier migration. */
  readonly known: boolean
  /** A reference table, by the word `@shared` in its comment: all tenants of the place read it, migrations write it. */
  readonly shared: boolean
  /** By the word `@append-only` in its comment: tenants read it and add to it, and nobody changes what is there. */
  readonly appendOnly: boolean
  readonly constraints: readonly Constraint[]
  /** Every index, those of keys included. */
  readonly indexes: readonly Index[]
  readonly policies: readonly Policy[]
}

export interface View extends Relation {
  readonly readsOutside: readonly string[]
  readonly usesSequence: boolean
  readonly reliesOnKeys: readonly string[]
}

export interface StandIn {
  readonly oid: string
  readonly name: string
  /** The table it stands for; undefined when the migration dropped that. */
  readonly original: string | undefined
}

/** The type of a column, or of a part of another type. */
export interface TypeUse {
  readonly type: string
  /** Type of the value, or of the element of an array. */
  readonly baseType: string
  /** b base, c composite, d domain, e enum, m multirange, r range, row: the rows of a table or view. */
  readonly typeKind: string
  readonly typeSchema: string
}

/** An enum, domain, composite or range type of the author. */
export interface OwnType {
  readonly oid: string
  readonly name: string
  /** c composite, d domain, e enum, r range. */
  readonly kind: string
  readonly owner: string
  /** Of a range on a server where its multirange has an owner apart; qualified and quoted. */
  readonly ownedMultirange: string | null
  readonly ownGrants: boolean
  readonly usesSequence: boolean
  /** Attributes of a composite; the one type, without name, that a domain or range is made from. */
  readonly pieces: readonly (TypeUse & { readonly name: string | null })[]
}

/** A function, procedure or aggregate of the author. */
export interface Routine {
  readonly oid: string
  readonly name: string
  /** Qualified and quoted, with the types of its arguments. */
  readonly identity: string
  /** f function, p procedure, a aggregate, w window function. */
  readonly kind: string
  readonly language: string
  readonly owner: string
  readonly definer: boolean
  readonly leakproof: boolean
  readonly support: boolean
  readonly ownGrants: boolean
  readonly returnsTrigger: boolean
  /** A default, check, index, trigger or type calls it. */
  readonly attached: boolean
  /** Settings for its own time, each as `name=value`. */
  readonly settings: readonly string[]
  /** It has the search_path of its place. */
  readonly placePath: boolean
  readonly source: string
  /** Its body was parsed when it was made, and names what it uses for good. */
  readonly atomic: boolean
  /** CREATE OR REPLACE statement, where the body may have to be completed. */
  readonly definition: string | null
  readonly reliesOnKeys: readonly string[]
}

export interface Trigger {
  readonly name: string
  /** As PostgreSQL names it: `name on schema.table`. */
  readonly identity: string
  readonly relationOid: string
  readonly functionSchema: string
  readonly functionName: string
  /** O origin, D disabled, R replica, A always. */
  readonly enabled: string
  /** It runs before the update of a row, and may change it. */
  readonly changesUpdatedRow: boolean
  /** It runs before a row is inserted, and may change it. */
  readonly changesInsertedRow: boolean
}

export interface Column extends TypeUse {
  readonly name: string
  readonly notNull: boolean
  readonly identity: string
  readonly generated: string
  readonly grants: readonly Grant[]
  readonly default: string | null
  /** The default need not be the same value each time. */
  readonly changingDefault: boolean
  readonly usesSequence: boolean
  /** The default is exactly nextval() of a sequence the column owns. */
  readonly serial: boolean
}

export interface Constraint {
  readonly oid: string
  readonly name: string
  /** p primary key, u unique, f foreign key, c check, n not null (18), x exclusion, t constraint trigger. */
  readonly type: string
  readonly deferrable: boolean
  readonly deferred: boolean
  readonly validated: boolean
  readonly enforced: boolean
  /** The same constraint of the table it is a partition of, or references by partitions; comes and goes with it. */
  readonly inheritedFrom: string | null
  readonly temporal: boolean
  readonly noInherit: boolean
  readonly indexOid: string
  readonly columns: readonly string[]
  readonly parentOid: string
  readonly parentColumns: readonly string[]
  /** Columns named in ON DELETE SET NULL (…); empty means all. */
  readonly setColumns: readonly string[]
  /** a no action, r restrict, c cascade, n set null, d set default. */
  readonly onUpdate: string
  readonly onDelete: string
  /** s simple, f full. */
  readonly match: string
  /** Of an exclusion constraint, one for each column. */
  readonly operators: readonly (readonly [schema: string, name: string])[]
  readonly definition: string | null
  readonly comment: string | null
}

export interface Index {
  readonly oid: string
  readonly name: string
  readonly method: string
  readonly unique: boolean
  readonly nullsNotDistinct: boolean
  readonly valid: boolean
  readonly clustered: boolean
  /** The index of the partitioned table that it is a part of. */
  readonly attachedTo: string | null
  /** The condition of a partial index, as SQL. */
  readonly predicate: string | null
  readonly ownTablespace: boolean
  readonly options: readonly string[]
  readonly constraintOid: string | null
  /** The last column is a range that may not overlap. */
  readonly withoutOverlaps: boolean
  readonly keys: readonly IndexKey[]
  readonly include: readonly string[]
  readonly comment: string | null
}

export interface IndexKey {
  /** Null where an expression is indexed. */
  readonly column: string | null
  /** As SQL, in parentheses where it needs them; null where a column is indexed. */
  readonly expression: string | null
  readonly collation: readonly [schema: string, name: string] | null
  readonly operatorClass: readonly [schema: string, name: string] | null
  /** Of the operator class, which is named then. */
  readonly options: readonly string[]
  readonly descending: boolean
  readonly nullsFirst: boolean
}

export interface Sequence {
  readonly oid: string
  readonly name: string
  readonly tableOid: string | null
  readonly column: string | null
  readonly identity: boolean
  readonly start: string
  readonly increment: string
  readonly minimum: string
  readonly maximum: string
  readonly cache: string
  readonly cycle: boolean
  readonly comment: string | null
  readonly persistence: string
  readonly grants: readonly Grant[]
}

export interface Policy {
  readonly name: string
  readonly forAll: boolean
  readonly visible: string | null
  readonly writable: string | null
}

/** What only the tables and sequences themselves can tell, asked when the catalogs say it matters. */
export interface State {
  /** Names of tables made by this migration that hold rows. */
  readonly filled: ReadonlySet<string>
  /** Position of each sequence behind a serial column, by the sequence's name. */
  readonly positions: ReadonlyMap<string, { readonly last: string; readonly called: boolean }>
}

/** One object that cannot be made tenant-safe, and the way around it. */
export interface LayoutRefusal {
  readonly kind: string
  readonly object: string
  readonly reason: string
  readonly remedy: string
}

/** What keeps the tenants of a place apart: sealed policy alone, or with a schema or database of the tenant's own. */
export type Wall =
  | { readonly kind: 'rls' }
  | { readonly kind: 'schema'; readonly tenantId: string }
  /** `null`: the template of such databases, which has no tenant yet. */
  | { readonly kind: 'database'; readonly tenantId: string | null }

/** The column every tenant table ends with. */
export const TENANT_COLUMN = 'tenant_id'
/** Names that belong to the layout. */
export const RESERVED_PREFIX = 'quickscale_'
export const TENANT_POLICY = 'quickscale_tenant'
export const OWN_CHECK = 'quickscale_tenant_own'
export const OWNER_ROLE = 'quickscale_owner'
export const MIGRATOR_ROLE = 'quickscale_migrator'
/** Owns the functions that PostgreSQL calls by itself. */
export const CALLED_ROLE = 'quickscale_trigger'
