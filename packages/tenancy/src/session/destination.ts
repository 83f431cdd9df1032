/** Where a place says that its tenant has gone: the DETAIL of SQLSTATE QS001. */
export interface Destination {
  readonly epoch: number
  readonly schemaName: string
  /** uuid of the database; null for the same one. */
  readonly databaseId: string | null
}

/** @returns null for a text that names none: then the catalog knows */
export function parseDestination(detail: string | undefined): Destination | null {
  if (detail === undefined) return null
  let value: unknown
  try {
    value = JSON.parse(detail)
  } catch {
    return null
  }
  const { epoch, schema, database = null } = (value ?? {}) as Readonly<Record<string, unknown>>
  if (typeof epoch !== 'number' || typeof schema !== 'string') return null
  return { epoch, schemaName: schema, databaseId: typeof database === 'string' ? database : null }
}
