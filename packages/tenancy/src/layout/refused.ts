import { QuickScaleError } from '../errors.ts'
import { type LayoutRefusal, RESERVED_PREFIX } from './shape.ts'

/** The error that carries every refusal: as data in `details.refusals`, in words in its message. */
export function layoutRefused(refusals: readonly LayoutRefusal[]): QuickScaleError {
  const summary = refusals
    .map(({ kind, object, reason, remedy }) => `${kind} ${object}: ${reason}. ${remedy}`)
    .join(' | ')
  return new QuickScaleError('LAYOUT_REFUSED', { refusals, summary })
}

export function reservedName(kind: string, object: string): LayoutRefusal {
  return {
    kind,
    object,
    reason: `names that start with ${RESERVED_PREFIX} are the layout's own`,
    remedy: 'Choose another name.',
  }
}
