import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import type { ChangeListener } from '../catalog/changes.ts'
import { type Kin, listLineage } from '../catalog/members.ts'
import { limits } from '../limits.ts'

interface Known {
  readonly line: readonly Kin[]
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
  readonly #reading = new Map<string, Promise<readonly Kin[]>>()

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  /** As `listLineage`, from memory where that can be believed. That there is no such tenant is never remembered. */
  async read(key: string, userId: string | null): Promise<readonly Kin[]> {
    const name = `${userId ?? ''} ${key}`
    const known = this.#known.get(name)
    if (known !== undefined && this.#isBelieved(known)) return known.line
    const joined = this.#reading.get(name)
    if (joined !== undefined) return await joined
    this.#catalog.changes.listen(this.#listener)
    const readAtMs = Date.now()
    // Since a change it is not what is waited for any more: it may be older than that.
    const isCurrent = () => this.#reading.get(name) === reading
    const reading = listLineage(this.#catalog.db, key, userId)
      .then((line) => {
        this.#known.delete(name)
        if (line.length > 0 && isCurrent()) this.#remember(name, { line, readAtMs })
        return line
      })
      .finally(() => {
        if (isCurrent()) this.#reading.delete(name)
      })
    this.#reading.set(name, reading)
    return await reading
  }

  /** Forgets everything about a user, or a tenant by its id or slug. */
  forget(subject: string): void {
    this.#reading.clear()
    for (const name of this.#tagged.get(subject) ?? []) this.#known.delete(name)
  }

  #isBelieved({ readAtMs }: Known): boolean {
    const age = Date.now() - readAtMs
    // A clock that was set back says nothing.
    return (age >= 0 && age < limits.lineageLifetimeMs) || this.#catalog.changes.coversMembers(readAtMs)
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

function tagsOf(name: string, line: readonly Kin[]): string[] {
  const [userId = ''] = name.split(' ')
  return [userId, ...line.flatMap(({ tenantId, slug }) => [tenantId, slug])].filter((tag) => tag !== '')
}
