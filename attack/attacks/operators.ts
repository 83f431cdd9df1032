import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import type { Outcome } from '../outcome.ts'
import type { Door } from '../raw-session.ts'

/** A word of the victim's document, and one of nobody's. */
const [existing, missing] = ['aerospace', 'astrology'] as const

/** What an operator that is not LEAKPROOF is asked, so that it raises where a row has the word. */
interface Question {
  readonly condition: (table: string, word: string) => string
  /** Raised by the victim's row. */
  readonly raises: string
}

const like: Question = {
  // An error for whoever matches up to the escape; without a prefix, which an index would compare instead.
  condition: (table, word) => `select count(*) from ${table} where title like E'_${word.slice(1)}\\\\'`,
  raises: '22025',
}

const deepWords: Question = {
  // The right side is descended into where the left one was found.
  condition: (table, word) =>
    `select count(*) from ${table} where words @@
       (select ('${word} & (' || repeat('a <-> ', 25000) || 'a)')::tsquery offset 0)`,
  raises: '54001',
}

const deepDocument: Question = {
  // As deep as both documents are nested.
  condition: (table, word) =>
    `select count(*) from ${table} where data @>
       (select ('{"${word}": ' || repeat('[', 10000) || repeat(']', 10000) || '}')::jsonb offset 0)`,
  raises: '54001',
}

/** The same through what rewriting adds, given by hand. */
const patternHint: Question = {
  condition: (table, word) =>
    `select count(*) from ${table} where title operator(quickscale.~~) quickscale.bound_pattern(E'_${word.slice(1)}\\\\')`,
  raises: '22025',
}

const hints: readonly Question[] = [
  {
    condition: (table, word) =>
      `select count(*) from ${table} where words operator(quickscale.@@)
         quickscale.bound_query((select ('${word} & (' || repeat('a <-> ', 25000) || 'a)')::tsquery offset 0))`,
    raises: '54001',
  },
  {
    condition: (table, word) =>
      `select count(*) from ${table} where words operator(quickscale.@@)
         ('${word} & (' || repeat('a & ', 120) || 'a)')::tsquery::quickscale.search_query`,
    raises: '54001',
  },
  {
    condition: (table, word) =>
      `select count(*) from ${table} where data operator(quickscale.@>) quickscale.bound_document(
         (select ('{"${word}": ' || repeat('[', 10000) || repeat(']', 10000) || '}')::jsonb offset 0))`,
    raises: '54001',
  },
]

async function fill({ owner, victim }: Pick<OurGround, 'owner' | 'victim'>): Promise<void> {
  const table = `${victim.schema}.document`
  await owner.query(`delete from ${table} where tenant_id = '${victim.id}'`)
  await owner.query(
    `insert into ${table} (title, words, data, tenant_id)
     select '${existing} merger', '${existing}:1 a:2', ('{"${existing}": ' || repeat('[', 10000) || repeat(']', 10000) || '}')::jsonb,
            '${victim.id}' from generate_series(1, 20)`,
  )
  // Statistics know the word: a plan may raise too.
  await owner.query(`analyze ${table}`)
}

const foreseen = ['rows', '42501', '42P01', '3F000']

async function ask(ground: OurGround, door: Door, question: Question, table: string): Promise<void> {
  const probe = async (word: string): Promise<Outcome> =>
    await door.try([...foreseen, question.raises], question.condition(table, word))
  ground.ledger.compare('an operator', await probe(existing), await probe(missing), [existing, missing])
}

async function askBoth(ground: OurGround, question: Question, others: readonly Question[]): Promise<void> {
  await fill(ground)
  await ask(ground, ground.api(), question, 'document')
  const session = await ground.raw()
  for (const each of [question, ...others])
    await ask(ground, session, each, `${ground.victim.schema}.document`)
}

function attackBy(id: string, title: string, question: Question, others: readonly Question[]): Attack {
  return {
    id,
    title,
    naive: {
      without: 'unmarked-operators',
      run: async (ground) => {
        await fill(ground)
        await ask(ground, await ground.raw(), question, 'document')
      },
    },
    run: (ground) => askBoth(ground, question, others),
  }
}

export const operatorAttacks: readonly Attack[] = [
  attackBy('like-oracle', 'a LIKE pattern that is an error only for the texts it matches so far', like, [
    patternHint,
  ]),
  attackBy(
    'text-search-oracle',
    'a text search too deep for the stack only where a word is found',
    deepWords,
    hints.slice(0, 2),
  ),
  attackBy(
    'document-oracle',
    'a document nested too deeply only for one that is as deep',
    deepDocument,
    hints.slice(2),
  ),
]
