import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { mutants, type Run, runs } from './runs.ts'
import { search } from './spin.ts'

const usage = `Usage: npm run -s model -- [options]

Searches every state of the model of a tenant's move (packages/tenancy/src/moves/model/move.pml). Exits with 1 when a
property is broken, and prints the steps that lead there. Needs spin and gcc.

Options
  --mutants  also takes parts of the protocol out, one at a time: each must break the property it is there for
  --json     one JSON object a line
  --story    prints the steps by which a mutant breaks its property
  --help`

const { values } = parseArgs({
  options: {
    mutants: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    story: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(usage)
else process.exitCode = await checkAll(values.mutants ? [...runs, ...mutants] : runs)

async function checkAll(wanted: readonly Run[]): Promise<number> {
  const queue = [...wanted]
  let wrong = 0
  const work = async () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
      if (!(await check(run))) wrong += 1
    }
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, work))
  return wrong === 0 ? 0 : 1
}

/** True when the run shows what it must. */
async function check(run: Run): Promise<boolean> {
  const startedAt = performance.now()
  const { states, broken, story } = await search(run)
  const seconds = Number(((performance.now() - startedAt) / 1000).toFixed(1))
  const right = broken === (run.breaks ?? null)
  if (values.json) console.log(JSON.stringify({ name: run.name, states, seconds, broken, right }))
  else {
    const found = broken === null ? 'holds' : `breaks “${broken}”`
    const expected = right || run.breaks === undefined ? '' : `, not “${run.breaks}”`
    console.log(
      `${right ? 'ok   ' : 'WRONG'} ${run.name}: ${found}${expected} (${states} states, ${seconds} s)`,
    )
  }
  if (!right || values.story) for (const line of story) console.error(`        ${line}`)
  return right
}
