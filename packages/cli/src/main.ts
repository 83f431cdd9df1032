import { run } from './program.ts'

// A reader such as `head` that has seen enough ends neither the work nor the process.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

process.exitCode = await run(process.argv.slice(2))
