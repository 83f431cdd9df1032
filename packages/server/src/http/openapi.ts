import swagger from '@fastify/swagger'
import reference from '@scalar/fastify-api-reference'
import type { FastifyInstance } from 'fastify'
import { createJsonSchemaTransform } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { problem } from '../api/index.ts'
import { allowsImpersonation } from './impersonated.ts'
import type { Route } from './route.ts'

const zodTransform = createJsonSchemaTransform({})

/** What any route may answer beside what it declares. */
const problemAnswer = {
  description: 'Refused, or failed: RFC 9457 problem details',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

/** Collects every declared route that is mounted after it; `/openapi.json` and `/reference` show them. */
export async function documentRoutes(
  app: FastifyInstance,
  { baseUrl }: { readonly baseUrl: string },
): Promise<void> {
  // As better-auth has it: browsers take a cookie of that prefix over https only.
  const cookiePrefix = baseUrl.startsWith('https://') ? '__Secure-' : ''
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'QuickScale', version: '0.1.0' },
      components: {
        schemas: { Problem: z.toJSONSchema(problem, { target: 'draft-2020-12' }) as object },
        securitySchemes: {
          key: { type: 'http', scheme: 'bearer', description: 'An API key, or a token of /auth/token' },
          session: { type: 'apiKey', in: 'cookie', name: `${cookiePrefix}quickscale.session_token` },
        },
      },
    },
    transform: (input) => {
      const declared = input.route.config?.declared
      const { schema, url } = zodTransform(input)
      // Routes of plugins are no part of the API.
      if (declared === undefined) return { schema: { ...schema, hide: true }, url }
      return { schema: { ...schema, ...describeRoute(declared, schema.response) }, url }
    },
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  await app.register(reference, {
    routePrefix: '/reference',
    configuration: { url: '/openapi.json', withDefaultFonts: false, telemetry: false },
  })
}

/** A name for generators of clients: `postContacts`, `deleteContactsByIdTagsByTagId`. */
function nameOperation({ method, path }: Route): string {
  const words = path.replaceAll(':', 'by_').split(/[^a-z0-9]+/i)
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function describeRoute(route: Route, response: unknown): object {
  const { summary, path, access, rate, scope, answers, bodyTypes } = route
  const empty = Object.entries(answers).filter(([, schema]) => schema === null)
  return {
    operationId: nameOperation(route),
    summary,
    tags: [path.split('/')[1] ?? ''],
    // The permission, one of anyone, user, viewer, member, admin, owner.
    'x-access': access,
    'x-rate': rate,
    'x-scope': scope,
    // Whether an operator may do it who acts as the user.
    'x-impersonated': allowsImpersonation(route),
    security: access === 'anyone' ? [] : [{ key: [] }, { session: [] }],
    ...(bodyTypes && { consumes: bodyTypes, body: { type: 'string', format: 'binary' } }),
    response: {
      ...Object(response),
      ...Object.fromEntries(empty.map(([status]) => [status, { type: 'null', description: 'Done' }])),
      default: problemAnswer,
    },
  }
}
