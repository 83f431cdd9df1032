/** What is searched for, and where. */
export interface SearchKind {
  readonly kind: string
  /** Finds one row in 200. */
  readonly text: string
  readonly value: string
  /** The index that serves it without row security. */
  readonly index: string
  /** The column that the index must be asked for. */
  readonly column: string
}

const select = 'select count(*)::integer as count, sum(id)::bigint as sum from item where'

export const searchKinds: readonly SearchKind[] = [
  { kind: 'numeric', text: `${select} price = $1`, value: '17.25', index: 'item_price', column: 'price' },
  {
    kind: 'enum',
    text: `${select} stage = $1`,
    value: 's0',
    index: 'item_stage',
    column: 'stage',
  },
  { kind: 'like-prefix', text: `${select} name like $1`, value: 'n17-%', index: 'item_name', column: 'name' },
  {
    kind: 'full-text',
    text: `${select} words @@ websearch_to_tsquery('simple', $1)`,
    value: 'w17 even',
    index: 'item_words',
    column: 'words',
  },
  {
    kind: 'trigram',
    text: `${select} body like $1`,
    value: '%w17 %',
    index: 'item_body',
    column: 'body',
  },
  {
    kind: 'jsonb',
    text: `${select} data @> $1`,
    value: '{"kind": "k17"}',
    index: 'item_data',
    column: 'data',
  },
  { kind: 'jsonb-key', text: `${select} data ? $1`, value: 'flag17', index: 'item_data', column: 'data' },
]

/** Rows 1 to $1: one in 200 is what each kind of search finds. */
export const fillItems = `
  insert into item (id, price, stage, name, body, data)
  select i, i % 200 + 0.25,
         (case when i % 200 = 17 then 's0' else 's' || 1 + i % 4 end)::stage,
         'n' || i % 200 || '-' || i,
         'w' || i % 200 || ' ' || case when i % 2 = 0 then 'odd' else 'even' end || ' v' || i % 977 || ' u' || i,
         jsonb_build_object('kind', 'k' || i % 200, 'flag' || i % 200, true, 'number', i)
    from generate_series(1, $1::integer) as i`
