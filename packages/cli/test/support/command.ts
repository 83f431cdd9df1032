import { vi } from 'vitest'
import { run } from '../../src/program.ts'

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The command in this process: starting one takes longer than most of what it does. */
export async function runCommand(...args: string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.stdout += text
      return true
    }),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      written.stderr += text
      return true
    }),
    vi.spyOn(console, 'error').mockImplementation((text) => {
      written.stderr += `${text}\n`
    }),
  ]
  try {
    return { status: await run(args), ...written }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}
