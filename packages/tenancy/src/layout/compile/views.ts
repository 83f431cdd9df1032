import { quoteQualified } from '../../identifiers.ts'
import { type LayoutRefusal, OWNER_ROLE, type Shape, type View, type Wall } from '../shape.ts'
import { incompleteKeys } from './keys.ts'
import { refuseRelation } from './tables.ts'

const INVOKER = 'security_invoker=true'

/** Read with the rights and policies of whoever asks. CREATE OR REPLACE VIEW forgets the option, so it is looked at
 * each time. */
export function completeViews(shape: Shape): string[] {
  return shape.views.flatMap((view) => {
    const name = quoteQualified(shape.schema.name, view.name)
    return [
      ...(view.options.includes(INVOKER) ? [] : [`alter view ${name} set (security_invoker = true)`]),
      ...(view.owner === OWNER_ROLE ? [] : [`alter view ${name} owner to ${OWNER_ROLE}`]),
    ]
  })
}

/** Views whose GROUP BY relies on a key that is about to change. */
export function viewsOnLostKeys(shape: Shape, wall: Wall): View[] {
  const lost = lostKeys(shape, wall)
  return shape.views.filter(({ reliesOnKeys }) => reliesOnKeys.some((key) => lost.has(key)))
}

function lostKeys({ tables }: Shape, wall: Wall): ReadonlySet<string> {
  return new Set(tables.flatMap((table) => incompleteKeys(table, wall).map(({ key }) => key.name)))
}

export function refuseViews(shape: Shape, wall: Wall): LayoutRefusal[] {
  const lost = lostKeys(shape, wall)
  return shape.views.flatMap((view) => [...refuseRelation('view', view), ...refuseView(view, lost)])
}

function refuseView(view: View, lost: ReadonlySet<string>): LayoutRefusal[] {
  const refuse = (reason: string, remedy: string): LayoutRefusal => ({
    kind: 'view',
    object: view.name,
    reason,
    remedy,
  })
  return [
    ...view.reliesOnKeys
      .filter((key) => lost.has(key))
      .map((key) =>
        refuse(
          `its GROUP BY relies on the key ${key}, which will have tenant_id in it`,
          'Group by every selected column, or aggregate in a subquery and join.',
        ),
      ),
    ...view.readsOutside.map((relation) =>
      refuse(
        `it reads ${relation}, which is outside the schema`,
        'Read tables and views of the same migrations only.',
      ),
    ),
    ...(view.usesSequence
      ? [refuse('tenants have no right on sequences', 'Leave nextval() and its kin out.')]
      : []),
  ]
}
