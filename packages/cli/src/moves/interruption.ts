import type { Move } from '@quickscale/tenancy'

/** What becomes of a move whose process ends, and what can be done. */
export function interruption(move: Pick<Move, 'id' | 'state'> | null): string {
  if (move === null) return 'Interrupted; quickscale move list says what is under way.'
  if (move.state === 'switched') {
    return [
      `Interrupted. Move ${move.id} has switched the tenant and can only go on: quickscale move resume.`,
      'Should its new place not be open yet, the tenant waits for that.',
    ].join('\n')
  }
  const back = takenBackBy(move)
  return [
    `Interrupted. Move ${move.id} stays as it is (${move.state}); the tenant works on.`,
    `quickscale move resume goes on${back === null ? '.' : `, quickscale move ${back} ${move.id} takes it back.`}`,
  ].join('\n')
}

function takenBackBy({ state }: Pick<Move, 'state'>): 'cancel' | 'rollback' | null {
  if (state === 'planned' || state === 'copying' || state === 'streaming') return 'cancel'
  return state === 'active' ? 'rollback' : null
}
