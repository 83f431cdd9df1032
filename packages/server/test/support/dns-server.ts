import { createSocket } from 'node:dgram'

export interface DnsServer {
  /** `127.0.0.1:<port>` */
  readonly address: string
  /** TXT records by name, in lower case. */
  readonly records: Map<string, string>
  close(): Promise<void>
}

const HEADER_BYTES = 12
const TYPE_TXT = 16

/** A name server that knows the TXT records it is told; RFC 1035, one question at a time. */
export async function startDnsServer(): Promise<DnsServer> {
  const records = new Map<string, string>()
  const socket = createSocket('udp4')
  socket.on('message', (query, { address, port }) => {
    const { name, end } = readName(query)
    const value = query.readUInt16BE(end) === TYPE_TXT ? records.get(name) : undefined
    const question = query.subarray(HEADER_BYTES, end + 4)
    const header = Buffer.alloc(HEADER_BYTES)
    query.copy(header, 0, 0, 2)
    // An answer, authoritative; code 3 where there is no such name.
    header.writeUInt16BE(0x8400 | (value === undefined ? 3 : 0), 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(value === undefined ? 0 : 1, 6)
    socket.send(
      Buffer.concat([header, question, ...(value === undefined ? [] : [answer(value)])]),
      port,
      address,
    )
  })
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
  return {
    address: `127.0.0.1:${socket.address().port}`,
    records,
    close: () => new Promise((done) => socket.close(() => done())),
  }
}

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('ascii', at + 1, at + 1 + length))
    at += length + 1
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}

/** A pointer to the name in the question, TXT, IN, no time to live, one string. */
function answer(value: string): Buffer {
  const text = Buffer.from(value)
  const fixed = Buffer.from([
    0xc0,
    HEADER_BYTES,
    0,
    TYPE_TXT,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    text.length + 1,
    text.length,
  ])
  return Buffer.concat([fixed, text])
}
