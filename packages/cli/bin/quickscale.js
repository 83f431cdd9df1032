#!/usr/bin/env node
// In a checkout nothing is built: Node then runs the sources, whose packages resolve under a condition of their own.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const built = new URL('../dist/main.js', import.meta.url)
const source = new URL('../src/main.ts', import.meta.url)

if (existsSync(built)) {
  await import(built.href)
} else {
  const argv = ['--conditions=quickscale-source', fileURLToPath(source), ...process.argv.slice(2)]
  const child = spawn(process.execPath, argv, { stdio: 'inherit' })
  // A terminal's Ctrl-C reaches the child by itself; either way this process waits for its exit code.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('error', (error) => {
    throw error
  })
  child.on('exit', (status) => {
    process.exitCode = status ?? 1
  })
}
