import { auth } from './auth/index.ts'
import { billing } from './billing/index.ts'
import { blog } from './blog/index.ts'
import { crm } from './crm/index.ts'
import type { Module } from './module.ts'
import { platform } from './platform/index.ts'
import { teams } from './teams/index.ts'

/** Every module of the application, in the order of their migrations. */
export const modules: readonly Module[] = [platform, auth, teams, crm, blog, billing]
