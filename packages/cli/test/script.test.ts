import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Script } from '../src/script/script.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-script-'))
})
afterAll(async () => {
  await rm(directory, { recursive: true })
})

/** Statements as they are; rows of COPY joined; what else there is by its kind. */
async function read(content: string | Buffer, encoding?: string): Promise<string[]> {
  const path = join(directory, 'script.sql')
  await writeFile(path, content)
  const script = new Script(path)
  if (encoding !== undefined) script.setEncoding(encoding, 1)
  const found: string[] = []
  for await (const item of script.items()) {
    if (item.kind === 'statement') found.push(`${item.line}: ${item.text.trim()}`)
    else if (item.kind === 'copy')
      found.push(`${item.line}: ${item.text.trim()} <- ${await rowsOf(item.data)}`)
    else if (item.kind === 'connect') found.push(`${item.line}: connect ${item.database}`)
    else found.push(`${item.line}: ignored ${item.what}`)
  }
  return found
}

async function rowsOf(data: AsyncIterable<Buffer>): Promise<string> {
  const blocks: Buffer[] = []
  for await (const block of data) blocks.push(block)
  return JSON.stringify(Buffer.concat(blocks).toString())
}

describe('a script is split where psql splits it:', () => {
  test.each([
    ['statements of one line', 'select 1; select 2;', ['1: select 1', '1: select 2']],
    ['a last one without semicolon', 'select 1;\nselect 2', ['1: select 1', '2: select 2']],
    ['quotes', `select ';', "a;b", 'it''s;';`, [`1: select ';', "a;b", 'it''s;'`]],
    ['escape strings', `select E'\\';' , e'\\\\'; select 1;`, [`1: select E'\\';' , e'\\\\'`, '1: select 1']],
    ['a string over lines', `select 'a;\nb;'\n;`, [`1: select 'a;\nb;'`]],
    ['an escape string that goes on', `select E'a'\n'\\';';`, [`1: select E'a'\n'\\';'`]],
    [
      'dollar quotes',
      'select $a$ ; $$ ; $b$ $a$; select a$1;',
      ['1: select $a$ ; $$ ; $b$ $a$', '1: select a$1'],
    ],
    [
      'comments',
      '-- ; \n/* ; /* ; */ ; */ select 1 /* x */; -- end',
      ['2: -- ; \n/* ; /* ; */ ; */ select 1 /* x */'],
    ],
    [
      'parentheses',
      'create rule r as on insert to t do (select 1; select 2);',
      ['1: create rule r as on insert to t do (select 1; select 2)'],
    ],
    [
      'SQL bodies',
      'create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3;',
      [
        '1: create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end',
        '1: select 3',
      ],
    ],
    ['carriage returns', 'select 1;\r\nselect 2;\r\n', ['1: select 1', '2: select 2']],
    ['a byte order mark', '\uFEFFselect 1;', ['1: select 1']],
    ['nothing at all', '\n;;\n-- x\n', []],
  ])('%s', async (_, script, expected) => {
    expect(await read(script)).toEqual(expected)
  })
})

describe('commands of psql:', () => {
  test.each([
    [
      'variables',
      `\\set a b \\\\ select :a, :'a', :"a", :{?a}, :{?z}, x::int, :z;`,
      [`1: select b, 'b', "b", TRUE, FALSE, x::int, :z`],
    ],
    ['no variables in quotes', `\\set a b\nselect ':a', $$:a$$;`, [`2: select ':a', $$:a$$`]],
    [
      'connections',
      '\\connect a\n\\c "b c"\n\\connect -reuse-previous=on "dbname=\'d\'"\n\\c - me',
      ['1: connect a', '2: connect b c', '3: connect d', '4: connect null'],
    ],
    [
      'branches',
      '\\if true\nselect 1;\n\\if no\nselect 2;\n\\endif\n\\elif on\nselect 3;\n\\else\nselect 4;\n\\endif\n',
      ['2: select 1'],
    ],
    ['the end', 'select 1;\n\\q\nselect 2;', ['1: select 1']],
    [
      'harmless and unknown ones',
      '\\restrict k\n\\echo hi; there\n\\nonsense x\n\\unrestrict k',
      ['3: ignored unknown command \\nonsense'],
    ],
    ['sending', 'select 1 \\g\nselect 2;', ['1: select 1', '2: select 2']],
  ])('%s', async (_, script, expected) => {
    expect(await read(script)).toEqual(expected)
  })
})

describe('rows after COPY', () => {
  test('end with their own line and are given as they are', async () => {
    const script =
      'COPY t (a) FROM stdin;\n1\tx;\\\\\n\\N\n\\.\nselect 1;\ncopy t from stdin with (format csv);\n"a\nb"\n\\.\n'
    expect(await read(script)).toEqual([
      `1: COPY t (a) FROM stdin <- ${JSON.stringify('1\tx;\\\\\n\\N\n')}`,
      '5: select 1',
      `6: copy t from stdin with (format csv) <- ${JSON.stringify('"a\nb"\n')}`,
    ])
  })

  test('come in blocks, however many there are', async () => {
    const row = `${'x'.repeat(99)}\n`
    const [found = ''] = await read(`copy t from stdin;\n${row.repeat(20_000)}\\.\n`)
    expect(found).toHaveLength(`1: copy t from stdin <- ${JSON.stringify(row.repeat(20_000))}`.length)
  })
})

describe('encodings', () => {
  test('of one byte and of several are read', async () => {
    expect(await read(Buffer.from("select 'na\xefve \x80';", 'latin1'), 'LATIN1')).toEqual([
      "1: select 'naïve \x80'",
    ])
    expect(await read(Buffer.from("select '\x80';", 'latin1'), 'WIN1252')).toEqual(["1: select '€'"])
    expect(await read(Buffer.from([0x27, 0x93, 0xfa, 0x27]), 'SJIS')).toEqual(["1: '日'"])
  })

  test('of rows are turned into UTF-8', async () => {
    const script = Buffer.from('copy t from stdin;\n\xe9\n\\.\n', 'latin1')
    expect(await read(script, 'iso-8859-1')).toEqual(['1: copy t from stdin <- "é\\n"'])
  })
})

describe('is refused with its line:', () => {
  test.each([
    ['another file', 'select 1;\n\\i other.sql', 2, /reads another file/],
    ['a program', '\\! rm -rf /', 1, /runs a program/],
    ['\\copy', '\n\n\\copy t from x', 3, /another file/],
    ['an open quote', "select 1;\nselect '", 2, /not closed/],
    ['an open comment', '/* ', 0, /not closed/],
    ['an open \\if', '\\if true\n', 1, /without \\endif/],
    ['\\else alone', '\\else', 1, /without \\if/],
    ['rows without an end', 'copy t from stdin;\n1\n', 1, /do not end/],
    ['a variable that contains itself', '\\set a :a\n\\set a :a\nselect :a;', 3, /contains itself/],
    [
      'bytes that are no UTF-8',
      Buffer.from("select 1;\nselect '\xff';", 'latin1'),
      2,
      /not valid UTF8; .* client_encoding/,
    ],
    [
      'bytes that are no UTF-8 in rows',
      Buffer.from('copy t from stdin;\na\nb\xff\nc\n\\.\n', 'latin1'),
      3,
      /not valid UTF8/,
    ],
  ])('%s', async (_, script, line, reason) => {
    const failure = await read(script).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'SCRIPT_UNUSABLE', message: expect.stringMatching(reason) })
    if (line > 0) expect(failure).toMatchObject({ details: { line } })
  })

  test('an encoding nobody knows', async () => {
    await expect(read('select 1;', 'KLINGON')).rejects.toThrow(/KLINGON is not known/)
  })
})
