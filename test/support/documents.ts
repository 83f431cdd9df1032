/** Cells of a Markdown table's body, without the header row; `\|` is a bar inside a cell. */
export function readTable(markdown: string): readonly (readonly string[])[] {
  const rows = markdown.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('\\|', '|')),
  )
}

/** One promise of the product, and the tests that would notice if it were broken. */
export interface Invariant {
  readonly number: string
  readonly guarantee: string
  readonly proofs: readonly { readonly file: string; readonly title: string }[]
}

/** `| 3 | guarantee | file.test.ts: title |`, several proofs separated by `<br>`. */
export function readInvariants(markdown: string): readonly Invariant[] {
  return readTable(markdown).map(([number = '', guarantee = '', proofs = '']) => ({
    number,
    guarantee,
    proofs: proofs.split('<br>').map((proof) => {
      const [, file = proof, title = ''] = /^\s*(\S+\.test\.ts): (.*?)\s*$/.exec(proof) ?? []
      return { file, title }
    }),
  }))
}

/** Both directions: every proof is a test that exists, and every test file of the engine proves something. */
export function checkInvariants(
  invariants: readonly Invariant[],
  titlesOf: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const misnumbered = invariants
    .filter(({ number }, index) => number !== String(index + 1))
    .map(({ number, guarantee }) => `invariant ${number} (${guarantee}) is out of sequence`)
  const unproved = invariants.flatMap(({ number, proofs }) =>
    proofs
      .filter(({ file, title }) => !titlesOf.get(file)?.includes(title))
      .map(({ file, title }) => `invariant ${number} names a test that does not exist: ${file}: ${title}`),
  )
  const named = new Set(invariants.flatMap(({ proofs }) => proofs.map(({ file }) => file)))
  const unnamed = [...titlesOf.keys()]
    .filter((file) => file.startsWith('packages/tenancy/') && !named.has(file))
    .map((file) => `${file} proves no invariant: add the guarantee it enforces`)
  return [...misnumbered, ...unproved, ...unnamed]
}
