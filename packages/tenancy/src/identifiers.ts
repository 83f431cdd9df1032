import { QuickScaleError } from './errors.ts'

/** PostgreSQL truncates longer names silently, so that two names could become one. */
const IDENTIFIER_BYTES_MAX = 63

/**
 * Quotes a name for use in SQL text; the only way an identifier may enter a statement.
 *
 * @throws QuickScaleError `IDENTIFIER_INVALID` when the name is empty, longer than 63 bytes or holds a NUL.
 * @example quoteIdentifier('order') // '"order"'
 */
export function quoteIdentifier(name: string): string {
  const text = typeof name === 'string' && name !== ''
  if (!text || name.includes('\0') || Buffer.byteLength(name) > IDENTIFIER_BYTES_MAX) {
    throw new QuickScaleError('IDENTIFIER_INVALID', { name })
  }
  return `"${name.replaceAll('"', '""')}"`
}

/** Quotes `schema.name`. */
export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/**
 * Quotes a value as an SQL literal, for the statements that take no parameters (DDL, roles' passwords).
 *
 * @throws QuickScaleError `IDENTIFIER_INVALID` when the value holds a NUL, which no literal can.
 * @example quoteLiteral("it's") // "'it''s'"
 */
export function quoteLiteral(value: string): string {
  if (value.includes('\0')) throw new QuickScaleError('IDENTIFIER_INVALID', { name: value })
  const quoted = `'${value.replaceAll("'", "''")}'`
  return value.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/** The schema of a tenant under the `schema` strategy: the whole uuid, because its first half alone collides for UUIDv7. */
export function tenantSchemaName(tenantId: string): string {
  return `tenant_${tenantId.replaceAll('-', '')}`
}
