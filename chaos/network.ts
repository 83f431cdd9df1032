import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** The mover's way to a server, which can be cut. */
export class Network {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cut = false

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      if (this.#cut) {
        client.destroy()
        return
      }
      const upstream = connect(targetPort, '127.0.0.1')
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(socket)
        socket.setNoDelay(true)
        socket.pipe(other)
        socket.on('error', () => other.destroy())
        socket.on('close', () => {
          this.#sockets.delete(socket)
          other.destroy()
        })
      }
    })
  }

  /** @param targetPort on 127.0.0.1; a server that is started again has the same one */
  static async open(targetPort: number): Promise<Network> {
    const network = new Network(targetPort)
    network.#server.listen(0, '127.0.0.1')
    await once(network.#server, 'listening')
    return network
  }

  /** The URL with this way in place of its host and port. */
  through(url: string): string {
    const changed = new URL(url)
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the network is closed')
    changed.port = String(address.port)
    return changed.href
  }

  /** Ends all connections, and lets none through. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#cut = false
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}
