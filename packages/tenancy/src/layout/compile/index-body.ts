import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../identifiers.ts'
import type { Index, IndexKey } from '../shape.ts'

/** What follows the table in CREATE INDEX: everything of an index but its name and the columns it is to have. */
export function indexBody(index: Index, keys: readonly IndexKey[]): string {
  const nulls = index.nullsNotDistinct ? ' nulls not distinct' : ''
  const where = index.predicate === null ? '' : ` where (${index.predicate})`
  const list = keys.map(indexKey).join(', ')
  return `using ${quoteIdentifier(index.method)} (${list})${includedColumns(index)}${nulls}${storageOptions(index.options)}${where}`
}

export function indexKey(key: IndexKey): string {
  const { column, expression, collation, operatorClass, options, descending, nullsFirst } = key
  const order = descending ? ' desc' : ''
  // PostgreSQL's own defaults: nulls last when ascending, first when descending.
  const nulls = nullsFirst === descending ? '' : nullsFirst ? ' nulls first' : ' nulls last'
  const collate = collation ? ` collate ${quoteQualified(...collation)}` : ''
  const using = operatorClass ? ` ${quoteQualified(...operatorClass)}${assignments(options)}` : ''
  return `${expression ?? quoteIdentifier(column ?? '')}${collate}${using}${order}${nulls}`
}

export function columnList(columns: readonly string[]): string {
  return `(${columns.map(quoteIdentifier).join(', ')})`
}

export function includedColumns({ include }: Index): string {
  return include.length > 0 ? ` include ${columnList(include)}` : ''
}

/** ` with (fillfactor = '70')`, from options as pg_class stores them. */
export function storageOptions(options: readonly string[]): string {
  return options.length === 0 ? '' : ` with${assignments(options)}`
}

function assignments(options: readonly string[]): string {
  if (options.length === 0) return ''
  const list = options.map((option) => {
    const at = option.indexOf('=')
    return `${quoteIdentifier(option.slice(0, at))} = ${quoteLiteral(option.slice(at + 1))}`
  })
  return ` (${list.join(', ')})`
}
