import type { Caller, Gatekeeper, IdentifiedRequest, Standing } from './access.ts'
import { ProblemError } from './problem-error.ts'

/** A user, as far as other modules may know. */
export interface Person {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly emailVerified: boolean
}

/** What the module that knows users offers. */
export interface Identification {
  identify(request: IdentifiedRequest): Promise<Caller | null>
  find(userId: string): Promise<Person | null>
}

/** Where modules say who callers are and what they may; until one does, nobody gets in. */
export interface Gate extends Gatekeeper {
  find(userId: string): Promise<Person | null>
  identifyBy(identification: Identification): void
  /** Id of the tenant that has a host name of its own. */
  findHost(host: string): Promise<string | null>
  findHostBy(find: (host: string) => Promise<string | null>): void
  admitBy(admit: (key: string, caller: Caller) => Promise<Standing | null>): void
}

export function createGate(): Gate {
  let identification: Identification | undefined
  let admit: Gatekeeper['admit'] = async () => null
  let findHost: Gate['findHost'] = async () => null
  return {
    identify: async (request) => (await identification?.identify(request)) ?? null,
    admit: (key, caller) => admit(key, caller),
    find: async (userId) => (await identification?.find(userId)) ?? null,
    identifyBy: (given) => {
      identification = given
    },
    findHost: (host) => findHost(host),
    findHostBy: (given) => {
      findHost = given
    },
    admitBy: (given) => {
      admit = given
    },
  }
}

/** The user behind a caller. @throws ProblemError `USER_REQUIRED` for an API client, which is nobody */
export function requireUser(caller: Caller | null): string {
  if (caller?.userId != null) return caller.userId
  throw new ProblemError(403, 'USER_REQUIRED', 'This takes a user, not an API client of an organization')
}
