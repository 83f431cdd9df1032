import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../identifiers.ts'
import type { Shape, Wall } from '../shape.ts'
import { rebuiltForeignKeys } from './foreign-keys.ts'
import { rebuilt } from './indexes.ts'
import { incompleteKeys } from './keys.ts'

/** Comments die with the object they are on: those of everything rebuilt are written again. */
export function restoreComments(shape: Shape, wall: Wall): string[] {
  const { name: schema } = shape.schema
  return shape.tables.flatMap((table) => {
    const constraints = [
      ...incompleteKeys(table, wall).map(({ key }) => key),
      ...rebuiltForeignKeys(shape, table, wall),
    ]
    return [
      ...constraints.flatMap(({ name, comment }) =>
        comment === null
          ? []
          : [
              `comment on constraint ${quoteIdentifier(name)} on ${quoteQualified(schema, table.name)} is ${quoteLiteral(comment)}`,
            ],
      ),
      ...rebuilt(table, wall).flatMap(({ name, comment }) =>
        comment === null
          ? []
          : [`comment on index ${quoteQualified(schema, name)} is ${quoteLiteral(comment)}`],
      ),
    ]
  })
}
