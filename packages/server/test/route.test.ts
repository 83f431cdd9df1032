import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { applicationRoute, tenantRoute } from '../src/http/route.ts'

const of = { method: 'POST', path: '/orders', summary: 'Orders', access: 'anyone' } as const
const handle = async () => null
const order = z.object({})

describe.each([
  ['a tenant', tenantRoute],
  ['the application', applicationRoute],
])('a route of %s', (_of, declare) => {
  it('answers with its only status, or with the one that it names', () => {
    expect(declare({ ...of, answers: { 204: null }, handle }).status).toBe(204)
    expect(declare({ ...of, answers: { 201: order, 200: order }, status: 201, handle }).status).toBe(201)
  })

  it.each([
    ['leaves open which of several', { answers: { 201: order, 200: order } }],
    ['names one that it does not declare', { answers: { 201: order }, status: 200 }],
    ['declares none', { answers: {} }],
  ])('is refused that %s', (_what, declared) => {
    expect(() => declare({ ...of, ...declared, handle })).toThrow(/^POST \/orders answers with .*: name by/)
  })
})
