import type { FastifyInstance } from 'fastify'

/** A part of a JSON schema, as far as values are made of it. */
interface Schema {
  readonly type?: string
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly minLength?: number
  readonly items?: Schema
}

/** One operation of the OpenAPI document. */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** `/t/{slug}/contacts/{id}` */
  readonly path: string
  readonly access: string
  readonly scope: string
  /** Whether an operator may do it who acts as a user. */
  readonly impersonated: boolean
  readonly hasQuery: (name: string) => boolean
  readonly body: Schema | null
}

export function readOperations(app: FastifyInstance): readonly Operation[] {
  const { paths } = app.swagger() as unknown as {
    paths: Record<string, Record<string, Record<string, unknown>>>
  }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Operation => {
      const parameters = [operation.parameters ?? []].flat().map((each) => Object(each))
      const body = Object(operation.requestBody).content?.['application/json']?.schema ?? null
      return {
        method: method.toUpperCase() as Operation['method'],
        path,
        access: String(operation['x-access']),
        scope: String(operation['x-scope']),
        impersonated: operation['x-impersonated'] === true,
        hasQuery: (wanted) => parameters.some(({ in: place, name }) => place === 'query' && name === wanted),
        body,
      }
    }),
  )
}

/** Fills the path; whatever is no tenant is an id. */
export function fillPath({ path }: Operation, slug: string, id: string): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === 'slug' ? slug : id))
}

/** A body that the schema would take, with one id wherever an id may be. */
export function makeBody(schema: Schema | null, id: string): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(schema?.properties ?? {}).map(([name, each]) => [name, makeValue(each, id)]),
  )
}

export function takesIds(schema: Schema | null): boolean {
  return Object.values(schema?.properties ?? {}).some((each) =>
    alternatives(each).some(({ format, items }) => isId(format) || isId(items?.format)),
  )
}

const isId = (format: string | undefined) => format === 'uuid' || format === 'guid'

function alternatives(schema: Schema): readonly Schema[] {
  return schema.anyOf ?? [schema]
}

function makeValue(schema: Schema, id: string): unknown {
  const [first = schema] = alternatives(schema)
  if (isId(first.format)) return id
  if (first.enum !== undefined) return first.enum[0]
  if (first.type === 'integer' || first.type === 'number') return 1
  if (first.type === 'boolean') return true
  if (first.type === 'array') return isId(first.items?.format) ? [id] : []
  if (first.type === 'object') return makeBody(first, id)
  if (first.format === 'date') return '2030-01-01'
  if (first.format === 'email') return 'somebody@example.test'
  if (first.format === 'date-time') return '2030-01-01T00:00:00Z'
  if (first.format === 'uri') return 'https://example.test'
  if (first.pattern?.includes('\\d') === true) return '123456'
  return 'a'.repeat(Math.max(1, first.minLength ?? 1))
}
