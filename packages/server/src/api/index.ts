export * from './blog.ts'
export * from './common.ts'
export * from './crm.ts'
export * from './teams.ts'
