import { isUtf8 } from 'node:buffer'

/** How the bytes of a script become text. */
export interface Encoding {
  /** As the script names it. */
  readonly name: string
  /** The text, or null when the bytes are not valid. */
  decode(bytes: Buffer): string | null
  /** The same bytes in UTF-8, or null when they are not valid. */
  transcode(bytes: Buffer): Buffer | null
}

/** PostgreSQL's names, without punctuation, and what the WHATWG calls the same encodings. */
const labels: Readonly<Record<string, string>> = {
  latin1: 'latin1',
  iso88591: 'latin1',
  latin2: 'iso-8859-2',
  latin3: 'iso-8859-3',
  latin4: 'iso-8859-4',
  latin6: 'iso-8859-10',
  latin7: 'iso-8859-13',
  latin8: 'iso-8859-14',
  latin9: 'iso-8859-15',
  latin10: 'iso-8859-16',
  iso88595: 'iso-8859-5',
  iso88596: 'iso-8859-6',
  iso88597: 'iso-8859-7',
  iso88598: 'iso-8859-8',
  win866: 'ibm866',
  win874: 'windows-874',
  win1250: 'windows-1250',
  win1251: 'windows-1251',
  win: 'windows-1251',
  win1252: 'windows-1252',
  win1253: 'windows-1253',
  win1254: 'windows-1254',
  win1255: 'windows-1255',
  win1256: 'windows-1256',
  win1257: 'windows-1257',
  win1258: 'windows-1258',
  koi8: 'koi8-r',
  koi8r: 'koi8-r',
  koi8u: 'koi8-u',
  eucjp: 'euc-jp',
  euckr: 'euc-kr',
  euccn: 'gbk',
  sjis: 'shift_jis',
  gbk: 'gbk',
  gb18030: 'gb18030',
  big5: 'big5',
}

/** SQL_ASCII says nothing about its bytes; whoever uses it today means UTF-8. */
const utf8Names = new Set(['utf8', 'unicode', 'sqlascii'])

/** The encoding of a PostgreSQL name, in any spelling; undefined when it is not known. */
export function findEncoding(name: string): Encoding | undefined {
  const plain = name.toLowerCase().replace(/[^a-z0-9]/g, '')
  if (utf8Names.has(plain)) return utf8
  const label = labels[plain]
  if (label === undefined) return undefined
  const decode = label === 'latin1' ? decodeLatin1 : decodeAs(label)
  return {
    name,
    decode,
    transcode: (bytes) => {
      const text = decode(bytes)
      return text === null ? null : Buffer.from(text)
    },
  }
}

export const utf8: Encoding = {
  name: 'UTF8',
  decode: (bytes) => (isUtf8(bytes) ? bytes.toString('utf8') : null),
  transcode: (bytes) => (isUtf8(bytes) ? bytes : null),
}

/** Not TextDecoder: to the WHATWG latin1 is windows-1252. */
function decodeLatin1(bytes: Buffer): string {
  return bytes.toString('latin1')
}

function decodeAs(label: string): (bytes: Buffer) => string | null {
  const decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true })
  return (bytes) => {
    try {
      return decoder.decode(bytes)
    } catch (error) {
      if (error instanceof TypeError) return null
      throw error
    }
  }
}
