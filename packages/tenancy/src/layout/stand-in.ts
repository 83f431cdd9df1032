import { RESERVED_PREFIX } from './shape.ts'

const STAND_IN = /^quickscale_key_(\d{1,10})_(\d{1,10})$/

/** The name of the table that stands for one key of a complete table while a migration runs. */
export function standInName(tableOid: string, keyOid: string): string {
  return `${RESERVED_PREFIX}key_${tableOid}_${keyOid}`
}

/** The oid of the table that a table of this name stands for. */
export function standsFor(name: string): string | undefined {
  return STAND_IN.exec(name)?.[1]
}
