import type { Services } from './module.ts'

/**
 * Asks whether a tenant may have one more of what a gauge counts. Whatever is added at the same moment is not counted yet.
 *
 * @throws ProblemError `QUOTA_EXCEEDED`
 */
export async function assertRoom(
  { beforeAdding }: Pick<Services, 'beforeAdding'>,
  tenantId: string,
  gauge: string,
): Promise<void> {
  for (const ask of beforeAdding) await ask(tenantId, gauge)
}
