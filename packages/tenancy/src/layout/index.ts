/** For tools that work on schemas: adoption, and what a layout does to an index. */

export { renameTenantColumns } from './adopt/tenant-columns.ts'
export { type Adoption, adoptSchemas, type Renamed } from './adopt.ts'
export { type AffectedIndex, findAffectedIndexes } from './affected-indexes.ts'
export type { LayoutRefusal, Wall } from './shape.ts'
