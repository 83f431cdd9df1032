import type { Gatekeeper } from '../../src/http/access.ts'

/** Everyone owns everything, under the plan of the tests: for a server that only this machine reaches. */
export const openGate: Gatekeeper = {
  identify: async () => ({ kind: 'session', id: 'demo', userId: null, tenantId: null, roleMax: null }),
  admit: async (key) => ({ tenantId: key, plan: 'only', role: 'owner' }),
}
