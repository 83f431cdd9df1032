import type { ModulesConfig } from '../modules/configure.ts'

const perMonth = (dollars: number) => [
  { amount: dollars * 100, currency: 'usd', interval: 'month' as const },
  { amount: dollars * 1_000, currency: 'usd', interval: 'year' as const },
]

/** What the demo sells. Nobody takes money: whoever chooses a plan has it, and the tenant moves to where it belongs. */
export const demoModules: ModulesConfig = {
  auth: {},
  teams: {},
  crm: {},
  blog: {},
  billing: {
    plans: {
      free: { title: 'Free', quotas: { members: { soft: 8, hard: 10 }, contacts: { soft: 80, hard: 100 } } },
      starter: { title: 'Starter', prices: perMonth(29), quotas: { contacts: { hard: 1_000 } } },
      pro: { title: 'Pro', prices: perMonth(99), trialDays: 14 },
      team: { title: 'Team', prices: perMonth(249), trialDays: 14 },
      enterprise: { title: 'Enterprise', prices: perMonth(500) },
    },
  },
}
