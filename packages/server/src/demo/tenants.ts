import type { DataSize } from './generator.ts'

/** A tenant of the demo. */
export interface DemoTenant {
  readonly slug: string
  readonly name: string
  readonly plan: string
  readonly size: DataSize
}

/** One tenant on each of the default plans. */
export const demoTenants: readonly DemoTenant[] = [
  {
    slug: 'amber-teapot',
    name: 'Amber Teapot Bakery',
    plan: 'free',
    size: { companies: 20, contacts: 60, deals: 40, posts: 10 },
  },
  {
    slug: 'copper-magpie',
    name: 'Copper Magpie Studio',
    plan: 'starter',
    size: { companies: 60, contacts: 200, deals: 150, posts: 25 },
  },
  {
    slug: 'juniper-otter',
    name: 'Juniper Otter Optics',
    plan: 'pro',
    size: { companies: 120, contacts: 500, deals: 400, posts: 40 },
  },
  {
    slug: 'lantern-walrus',
    name: 'Lantern Walrus Freight',
    plan: 'team',
    size: { companies: 200, contacts: 800, deals: 700, posts: 60 },
  },
  {
    slug: 'quartz-anvil',
    name: 'Quartz Anvil Castings',
    plan: 'enterprise',
    size: { companies: 300, contacts: 1200, deals: 1000, posts: 80 },
  },
]
