import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Run } from './runs.ts'

const execute = promisify(execFile)
const model = fileURLToPath(new URL('../packages/tenancy/src/moves/model/move.pml', import.meta.url))

const SEARCH_TIMEOUT_MS = 300_000
const SEARCH_MEMORY_MIB_MAX = 1500
const SEARCH_DEPTH_MAX = 1_000_000
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024

export interface Outcome {
  readonly states: number
  /** The property that is broken, null when the search was exhaustive and found nothing. */
  readonly broken: string | null
  /** What the model's processes did up to there, one line a step. */
  readonly story: readonly string[]
}

/** Generates, compiles and runs the search; throws when it was not exhaustive and found nothing either. */
export async function search({ defines, formula, breaks }: Run): Promise<Outcome> {
  const directory = await mkdtemp(join(tmpdir(), 'quickscale-model-'))
  const call = async (command: string, ...args: readonly string[]) => {
    const options = { cwd: directory, timeout: SEARCH_TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX }
    return (await execute(command, args, options)).stdout
  }
  const flags = defines.map((define) => `-D${define}`)
  try {
    await call('spin', '-a', ...flags, model)
    const kind = formula === undefined ? ['-DSAFETY', '-DNOCLAIM'] : ['-DNFAIR=3']
    // Without partial order reduction, which is unsound for rendezvous in `unless`, and saves nothing here.
    const modes = ['-DNOREDUCE', '-DCOLLAPSE', `-DMEMLIM=${SEARCH_MEMORY_MIB_MAX}`]
    // A mutant is found out long before its compiler would have optimised it.
    const effort = breaks === undefined ? '-O2' : '-O0'
    await call('gcc', effort, '-w', ...modes, ...kind, '-o', 'pan', 'pan.c')
    const fair = formula === undefined ? [] : ['-a', '-f', '-N', formula]
    const report = await call(join(directory, 'pan'), `-m${SEARCH_DEPTH_MAX}`, '-w22', ...fair)
    const states = Number(/(\d+) states, stored/.exec(report)?.[1] ?? Number.NaN)
    const errors = Number(/errors: (\d+)/.exec(report)?.[1] ?? Number.NaN)
    if (errors === 0 && !/not completed|too small|out of memory/i.test(report)) {
      return { states, broken: null, story: [] }
    }
    if (!(errors > 0)) throw new Error(`The search is not exhaustive:\n${report}`)
    const replay = await call('spin', '-t', ...flags, '-k', 'move.pml.trail', model).catch(readOutput)
    const story = replay.split('\n').flatMap((line) => /(?:writer|mover|database|BROKEN) .*/.exec(line) ?? [])
    const broken = /BROKEN (.*)/.exec(replay)?.[1] ?? formula ?? 'no deadlock'
    return { states, broken, story }
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** A replay ends at the assertion that failed, with an exit code of its own. */
function readOutput(error: unknown): string {
  if (error instanceof Error && 'stdout' in error && typeof error.stdout === 'string') return error.stdout
  throw error
}
