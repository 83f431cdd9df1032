import { setTimeout as sleep } from 'node:timers/promises'
import type { MoverProcess } from '../test/support/mover-process.ts'
import { type Hold, holdPlanned, holdRecord, holdSwitched } from './holds.ts'
import type { Place } from './place.ts'
import type { Scenario } from './scenarios.ts'
import type { Site } from './site.ts'
import type { PersistedMove, Watch } from './state.ts'

interface Surroundings {
  readonly watch: Watch
  readonly mover: MoverProcess
  /** When the catalog's clock was looked at: the move is younger. */
  readonly after: Date
  readonly from: Place
}

const reachMs = 60_000

/** Brings a mover to the state in which it is to be struck. */
export class Attempt {
  readonly #site: Site
  readonly #scenario: Scenario
  readonly #with: Surroundings
  #hold: Hold | null = null

  constructor(site: Site, scenario: Scenario, surroundings: Surroundings) {
    this.#site = site
    this.#scenario = scenario
    this.#with = surroundings
  }

  /** @returns the state that is written down once the fault has struck; of a fault that takes that away, just before */
  async run(strikeNow: () => Promise<void>): Promise<string> {
    const { watch, mover, after, from } = this.#with
    const { at, fault } = this.#scenario
    try {
      if (at === 'planned') this.#hold = await holdPlanned(this.#site, from)
      mover.order('start')
      await this.#reach()
      const before = (await watch.look(after))?.state ?? 'nothing'
      await strikeNow()
      return fault === 'kill mover' ? ((await watch.look(after))?.state ?? 'nothing') : before
    } finally {
      await this.#release()
    }
  }

  async #release(): Promise<void> {
    await this.#hold?.release()
    this.#hold = null
  }

  async #reach(): Promise<void> {
    const { random } = this.#site
    const { at } = this.#scenario
    const { mover } = this.#with
    if (at === 'random') {
      await this.#until((move) => move !== null)
      await sleep(random.below(3_000))
      return
    }
    if (at === 'switched') {
      const move = await this.#until((each) => each?.state === 'streaming' || isPast(each, 'streaming'))
      if (move?.state === 'streaming') this.#hold = await holdSwitched(this.#site, move)
    }
    if (at === 'cancelling') {
      await this.#until((move) => move?.state === 'copying' || move?.state === 'streaming')
      await sleep(random.below(500))
      mover.order('cancel')
    }
    if (at === 'active' || at === 'returning') {
      const move = await this.#until(
        (each) => each?.state === 'active' && mover.answerTo('start') !== undefined,
      )
      if (at === 'active' && move !== null) this.#hold = await holdRecord(this.#site)
      mover.order(at === 'active' ? 'finish' : 'rollback')
      if (at === 'active') await sleep(random.below(100))
    }
    await this.#until((move) => move?.state === at || isPast(move, at))
    if (['copying', 'streaming', 'returning', 'purging'].includes(at) && random.chance(0.5)) {
      await sleep(random.below(200))
    }
  }

  /** Looks until it is so, or the mover has nothing more to do. */
  async #until(isSo: (move: PersistedMove | null) => boolean): Promise<PersistedMove | null> {
    const { watch, mover, after } = this.#with
    const deadline = performance.now() + reachMs
    for (;;) {
      const move = await watch.look(after)
      if (isSo(move) || !mover.alive || mover.failed || performance.now() > deadline) return move
      await sleep(1)
    }
  }
}

const order = ['planned', 'copying', 'streaming', 'switched', 'active', 'purging', 'returning', 'cancelling']
const finals: readonly string[] = ['done', 'returned', 'cancelled']

function isPast(move: PersistedMove | null, state: string): boolean {
  if (move === null) return false
  return finals.includes(move.state) || order.indexOf(move.state) > order.indexOf(state)
}
