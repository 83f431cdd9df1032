/**
 * SQL that puts a tenant's state back to what no transition leads to, for tests and attacks that begin again with the
 * same tenant. One simple-protocol string, so the values are literals of the test's own.
 */
export function resettingState(table: 'quickscale.placement' | 'catalog.tenant', statement: string): string {
  return `begin;
    alter table ${table} disable trigger check_transition;
    ${statement};
    alter table ${table} enable trigger check_transition;
    commit`
}
