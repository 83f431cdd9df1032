import { QuickScaleError } from '@quickscale/tenancy'
import { distance } from 'fastest-levenshtein'
import type { z } from 'zod'
import type { ConfiguredModule, Module } from './module.ts'

/** Which modules there are, by name, each with its options; `false` leaves one out. */
export type ModulesConfig = Readonly<Record<string, unknown>>

/**
 * Chooses modules and checks their options. Those that a chosen one needs come along; when none is named, all come.
 *
 * @throws QuickScaleError `CONFIG_INVALID` naming what is wrong and, for an unknown name, the nearest known one
 */
export function configureModules(
  available: readonly Module[],
  config: ModulesConfig = {},
): readonly ConfiguredModule[] {
  const known = new Map(available.map((module) => [module.name, module]))
  for (const name of Object.keys(config)) {
    if (!known.has(name)) throw invalid(`modules.${name} ${unknown(name, [...known.keys()])}`)
  }
  const named = Object.keys(config).filter((name) => config[name] !== false)
  const wanted = named.length > 0 ? named : [...known.keys()].filter((name) => config[name] !== false)
  const chosen = withNeeds(wanted, known)
  for (const name of chosen) {
    if (config[name] === false) throw invalid(`modules.${name} is left out, but another module needs it`)
  }
  return available
    .filter(({ name }) => chosen.has(name))
    .map((module) => configureModule(module, config[module.name] ?? {}))
}

function withNeeds(names: readonly string[], known: ReadonlyMap<string, Module>): ReadonlySet<string> {
  const chosen = new Set<string>()
  const add = (name: string) => {
    if (chosen.has(name)) return
    chosen.add(name)
    for (const need of known.get(name)?.needs ?? []) add(need)
  }
  for (const name of names) add(name)
  return chosen
}

function configureModule(module: Module, input: unknown): ConfiguredModule {
  const result = module.configure(input)
  if (result.success) return result.data
  const problems = result.error.issues.flatMap((issue) => explain(issue, module))
  throw invalid(problems.map((problem) => `modules.${module.name}${problem}`).join('; '))
}

function explain(issue: z.core.$ZodIssue, { optionNames }: Module): string[] {
  const path = issue.path.map((part) => `.${String(part)}`).join('')
  if (issue.code !== 'unrecognized_keys') return [`${path} ${issue.message}`]
  return issue.keys.map((key) => `${path}.${key} ${unknown(key, issue.path.length === 0 ? optionNames : [])}`)
}

function unknown(name: string, names: readonly string[]): string {
  const [nearest] = [...names].sort((a, b) => distance(a, name) - distance(b, name))
  return nearest === undefined ? 'is not a known key' : `is not a known key, did you mean ${nearest}?`
}

function invalid(problem: string): QuickScaleError {
  return new QuickScaleError('CONFIG_INVALID', { problem })
}
