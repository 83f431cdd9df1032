import { parseArgs } from 'node:util'
import { openServer } from '../test/support/server.ts'
import { attacks } from './attacks/index.ts'
import { createProgress, formatFindings, formatResult } from './report.ts'
import { isSound, runSuite } from './suite.ts'

const usage = `Usage: npm run -s attack -- [options]

Attacks this library's isolation: each attack is first shown to succeed on a naive target, then carried out under
the three strategies. Exits with 1 when anything leaked, was invalid, or a naive target did not fall.

Options
  --json         one JSON object on stdout instead of a table
  --only <ids>   a comma-separated choice of attacks
  --help

Uses the server of QUICKSCALE_DATABASE_URL (as a superuser), or starts one for the run. Drops what it has made.`

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(usage)
else process.exitCode = await run()

async function run(): Promise<number> {
  const wanted = values.only.split(',').filter((id) => id !== '')
  const unknown = wanted.filter((id) => attacks.every((attack) => attack.id !== id))
  if (unknown.length > 0) {
    console.error(`No attack ${unknown.join(', ')}`)
    return 1
  }
  const chosen = attacks.filter(({ id }) => wanted.length === 0 || wanted.includes(id))
  const progress = createProgress(process.stderr)
  progress.say('starting a server')
  const server = await openServer()
  try {
    const result = await runSuite({ databaseUrl: server.url, attacks: chosen, onProgress: progress.say })
    progress.end()
    const { findings, ...table } = result
    if (values.json) {
      console.log(JSON.stringify(table))
      if (findings.length > 0) console.error(formatFindings(findings))
    } else {
      console.log(formatResult(result, process.stdout.isTTY === true))
    }
    return isSound(result.summary) ? 0 : 1
  } finally {
    progress.end()
    await server.close()
  }
}
