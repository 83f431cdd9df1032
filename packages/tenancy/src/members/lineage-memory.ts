import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import type { ChangeListener } from '../catalog/changes.ts'
import { type Kin, listLineage } from '../catalog/members.ts'
import { limits } from '../limits.ts'

interface Known {
  readonly line: readonly Kin[]
  readonly readAtMs: number
}

interface Reading {
  readonly line: Promise<readonly Kin[]>
  readonly readAtMs: number
}

/**
 * Remembers what users are in tenants. What this process changes is forgotten at once, what others change when the catalog
 * announces it; when it is not heard, nothing is believed for longer than `limits.lineageSilenceMs`.
 */
export class LineageMemory {
  readonly #catalog: Catalog
  readonly #known = new LRUCache<string, Known>({
    max: limits.lineagesCached,
    dispose: ({ line }, name) => this.#untag(name, line),
  })
  /** By user, tenant and slug: the names of what has to be forgotten with them. */
  readonly #tagged = new Map<string, Set<string>>()
  readonly #listener: ChangeListener = {
    changed: ({ id }) => this.forget(id),
    memberChanged: (_tenantId, userId) => this.forget(userId),
  }
  /** What is being read since the last change: those who ask meanwhile wait for it. */
  readonly #reading = new Map<string, Reading>()

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  /** As `listLineage`, from memory where that can be believed. That there is no such tenant is never remembered. */
  async read(key: string, userId: string | null): Promise<readonly Kin[]> {
    const name = `${userId ?? ''} ${key}`
    const known = this.#known.get(name)
    if (known !== undefined && this.#isBelieved(known)) return known.line
    const joined = this.#reading.get(name)
    // One that takes longer may wait for a connection that has fallen silent.
    if (joined !== undefined && isYounger(joined, limits.lineageJoinedMs)) return await joined.line
    this.#catalog.changes.listen(this.#listener)
    const readAtMs = Date.now()
    // Since a change it is not what is waited for any more: it may be older than that.
    const isCurrent = () => this.#reading.get(name)?.line === line
    const line = listLineage(this.#catalog.db, key, userId)
      .then((found) => {
        this.#known.delete(name)
        if (found.length > 0 && isCurrent()) this.#remember(name, { line: found, readAtMs })
        return found
      })
      .finally(() => {
        if (isCurrent()) this.#reading.delete(name)
      })
    this.#reading.set(name, { line, readAtMs })
    return await line
  }

  /** Forgets everything about a user, or a tenant by its id or slug. */
  forget(subject: string): void {
    this.#reading.clear()
    for (const name of this.#tagged.get(subject) ?? []) this.#known.delete(name)
  }

  #isBelieved(known: Known): boolean {
    return isYounger(known, limits.lineageLifetimeMs) || this.#catalog.changes.coversMembers(known.readAtMs)
  }

  #remember(name: string, known: Known): void {
    this.#known.set(name, known)
    for (const tag of tagsOf(name, known.line)) {
      const names = this.#tagged.get(tag)
      if (names === undefined) this.#tagged.set(tag, new Set([name]))
      else names.add(name)
    }
  }

  #untag(name: string, line: readonly Kin[]): void {
    for (const tag of tagsOf(name, line)) {
      const names = this.#tagged.get(tag)
      names?.delete(name)
      if (names?.size === 0) this.#tagged.delete(tag)
    }
  }
}

/** A clock that was set back says nothing. */
function isYounger({ readAtMs }: { readonly readAtMs: number }, milliseconds: number): boolean {
  const age = Date.now() - readAtMs
  return age >= 0 && age < milliseconds
}

function tagsOf(name: string, line: readonly Kin[]): string[] {
  const [userId = ''] = name.split(' ')
  return [userId, ...line.flatMap(({ tenantId, slug }) => [tenantId, slug])].filter((tag) => tag !== '')
}
