import type pg from 'pg'
import { type HeldMove, recordMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { withTenantLocked } from '../lifecycle/locked.ts'
import { settle } from '../lifecycle/states.ts'
import { type EndRole, type MoveProgress, streamNames } from '../move.ts'
import { isOpen } from '../strategies/databases.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { decideOpening, openArrival, openStateOf, pointHere, readOpenState } from './arrive.ts'
import { BeginAnew, PlacesDiffer } from './begin-anew.ts'
import { auditSwitch } from './compare/rehearse.ts'
import { compareSnapshots, importSnapshot, releaseSnapshot, takeSnapshot } from './compare/snapshots.ts'
import { copyRows } from './copy/copy.ts'
import { crossWhenReady } from './cross-when-ready.ts'
import { type Crossing, type CrossingWork, cross } from './crossing.ts'
import { cutOver } from './cutover.ts'
import { claimEnd, type End, endOf, forgetEnd, isWithinDatabase, writeEnd } from './end.ts'
import { prepare } from './prepare.ts'
import { removePlace } from './remove-place.ts'
import type { Reporter } from './reporter.ts'
import { findStrayRows } from './stray-rows.ts'
import {
  dropPublication,
  dropSlot,
  isSlotUsable,
  makePublication,
  makeSlot,
  type NewSlot,
} from './stream/slot.ts'
import { countRows, type MovedTable } from './tables.ts'
import { openThrottle } from './throttle.ts'

/** What a step works with. */
export interface StepWork extends CrossingWork {
  readonly reporter: Reporter
}

/** `planned`, `copying`: begins anew, whatever an earlier attempt has left, and copies. */
export async function copyStep(work: StepWork): Promise<void> {
  const { workshop, held, sessions, reporter } = work
  const { source, target, tables } = await prepare(workshop, sessions, held, work.evict)
  const [watcher, beside, reader, writer] = await Promise.all([
    sessions.open(source.place.database, 'watch'),
    sessions.open(target.place.database, 'watch'),
    sessions.open(source.place.database, 'copy out'),
    sessions.open(target.place.database, 'copy in'),
  ])
  const { consistentPoint, snapshot } = await makeStream(work, source, tables, watcher)
  await importSnapshot(reader, snapshot)
  await writer.query('set session_replication_role = replica')
  reporter.tell({
    rowsExpected: await countRows(reader, source.place.schemaName, tables, held.tenantId, work.share),
  })
  await copyRows({
    source,
    target,
    tables,
    tenantId: held.tenantId,
    reader,
    writer,
    share: work.share,
    throttle: await openThrottle(work.share, [watcher, beside]),
    signal: reporter.signal,
    onProgress: (progress) => reporter.tell(progress),
  })
  await takeSnapshot(writer)
  const differences = await compareSnapshots(
    { tenantId: held.tenantId, tables, share: work.share },
    { client: reader, end: source },
    { client: writer, end: target },
  )
  await Promise.all([releaseSnapshot(reader), releaseSnapshot(writer)])
  if (differences.length > 0) throw new PlacesDiffer(differences)
  await writer.query(`set search_path to ${quoteIdentifier(target.place.schemaName)}, extensions`)
  // Without statistics the first queries at the new place would be planned blindly, and take seconds.
  for (const { name } of tables) await writer.query(`analyze ${quoteIdentifier(name)}`)
  await writeEnd(writer, held, 'target', { position: consistentPoint })
  await writeEnd(watcher, held, 'source', { state: 'streaming' })
  await recordMove(workshop.catalog.db, held, { state: 'streaming', failure: null })
}

/** `streaming`: follows, proves, and switches. */
export async function switchStep(work: StepWork): Promise<void> {
  const { workshop, held, sessions, reporter } = work
  const [source, target] = [endOf(held, 'source'), endOf(held, 'target')]
  const here = await sessions.open(source.place.database, 'look')
  if (!(await isSlotUsable(here, streamNames(held.id, 'source').slot))) {
    throw new BeginAnew('the replication slot is gone')
  }
  // Within one database the shared tables may be its target.
  const stray = isWithinDatabase(held) ? [] : await findStrayRows(here, source.strategy, held.tenantId)
  if (stray.length > 0)
    throw new QuickScaleError('MOVE_REFUSED', { key: held.tenantId, reasons: stray.join('; ') })
  const crossing = await cross(work, source, target)
  if (held.windowMs > 0) await openWayBack(work, crossing)
  await crossWhenReady(work, crossing, async (state) => {
    await cutOver(crossing, { state: 'switched', epoch: held.epoch + 1 })
    await decideOpening(crossing.locker, held)
    await openArrival(crossing.there, held, target, held.epoch + 1, state)
    await pointHere(workshop, held, target, held.epoch + 1)
    reporter.tellSwitched()
  })
  await crossing.follower.stop()
  await recordMove(workshop.catalog.db, held, { state: 'switched', switched: true, failure: null })
  await recordMove(workshop.catalog.db, held, { progress: { audited: await auditSwitch(crossing) } })
}

/** `switched`: opens the new place and leads everybody there; what served the way there is taken away. */
export async function arriveStep({ workshop, held, sessions }: StepWork): Promise<void> {
  const [source, target] = [endOf(held, 'source'), endOf(held, 'target')]
  const [here, there] = await Promise.all([
    sessions.open(source.place.database, 'arrive'),
    sessions.open(target.place.database, 'arrive'),
  ])
  await claimEnd(here, held, 'source', 'planned')
  await decideOpening(here, held)
  await openArrival(there, held, target, held.epoch + 1, await readOpenState(workshop, held))
  await pointHere(workshop, held, target, held.epoch + 1)
  await followState(workshop, held)
  await removeStream(here, held, 'source')
  await recordMove(workshop.catalog.db, held, { state: 'active', switched: true, failure: null })
}

/** Somebody may have suspended the tenant while it was between two places, and have found no fence that would follow. */
export async function followState(workshop: Workshop, { tenantId }: HeldMove): Promise<void> {
  await withTenantLocked(workshop, tenantId, { apart: false }, async (tenant) => {
    if (!tenant.settled) await settle(workshop, tenant, openStateOf(tenant))
  })
}

/** `returning`: the same way back. */
export async function returnStep(work: StepWork): Promise<void> {
  const { workshop, held, sessions } = work
  const [source, target] = [endOf(held, 'source'), endOf(held, 'target')]
  const there = await sessions.open(target.place.database, 'return')
  const known = await claimEnd(there, held, 'target', 'planned')
  if (known.state !== 'returned') {
    if (!(await isSlotUsable(there, streamNames(held.id, 'target').slot))) {
      const reason = 'the way back is closed: its replication slot is gone'
      throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason })
    }
    const crossing = await cross(work, target, source)
    await crossWhenReady(work, crossing, async (state) => {
      await cutOver(crossing, { state: 'returned', epoch: held.epoch + 2 })
      await openArrival(crossing.there, held, source, held.epoch + 2, state)
      await pointHere(workshop, held, source, held.epoch + 2)
    })
    await crossing.follower.stop()
  }
  const here = await sessions.open(source.place.database, 'arrive')
  await openArrival(here, held, source, held.epoch + 2, await readOpenState(workshop, held))
  await pointHere(workshop, held, source, held.epoch + 2)
  await followState(workshop, held)
  await recordMove(workshop.catalog.db, held, { state: 'cancelling', failure: null })
}

/** `cancelling`: takes away what was made at the target; the tenant lives at the source. */
export async function cancelStep(work: StepWork): Promise<void> {
  const { workshop, held, sessions } = work
  const source = endOf(held, 'source')
  const here = await sessions.open(source.place.database, 'cancel')
  await removeStream(here, held, 'source')
  const removed = await clear(work, 'target')
  await forgetEnd(here, held, 'source')
  const state = held.switchedAt === null ? 'cancelled' : 'returned'
  await recordMove(workshop.catalog.db, held, { state, finished: true, progress: { ...removed } })
}

/** `purging`: takes away what is left at the source; the tenant lives at the target. */
export async function purgeStep(work: StepWork): Promise<void> {
  const { workshop, held, sessions } = work
  const target = endOf(held, 'target')
  const there = await sessions.open(target.place.database, 'purge')
  await removeStream(there, held, 'target')
  const removed = await clear(work, 'source')
  await forgetEnd(there, held, 'target')
  await recordMove(workshop.catalog.db, held, {
    state: 'done',
    finished: true,
    failure: null,
    progress: { ...removed },
  })
}

/** One end, with its stream, if it is still there. */
async function clear(work: StepWork, role: EndRole): Promise<Pick<MoveProgress, 'removed'>> {
  const { workshop, held, sessions } = work
  const database = role === 'source' ? held.sourceDatabase : held.targetDatabase
  // An earlier attempt has come so far.
  if (database === null) return {}
  const end = endOf(held, role)
  if (database.ready && (await isOpen(workshop, database))) {
    await removeStream(await sessions.open(database, 'purge'), held, role)
  } else if (end.strategy !== 'database') return {}
  return { removed: await removePlace(work, end) }
}

/** What is written at an end from now on; the publication first, because the slot looks at those of its own time. */
async function makeStream(
  { held, sessions }: StepWork,
  { role, strategy, place }: End,
  tables: readonly MovedTable[],
  client: pg.ClientBase,
): Promise<NewSlot> {
  const { publication, slot } = streamNames(held.id, role)
  const rows = { strategy, schema: place.schemaName, tenantId: held.tenantId }
  await makePublication(client, publication, rows, tables)
  return await makeSlot(await sessions.openReplication(place.database), client, slot, held.id)
}

export async function removeStream(client: pg.ClientBase, held: HeldMove, from: EndRole): Promise<void> {
  const { slot, publication } = streamNames(held.id, from)
  await dropSlot(client, slot)
  await dropPublication(client, publication)
}

/** A publication and a slot at the target, so that what is written there after the switch can be brought back. */
async function openWayBack(work: StepWork, { to, tables, here }: Crossing): Promise<void> {
  const { held, sessions } = work
  const there = await sessions.open(to.place.database, 'way back')
  // Not one that comes late: the way back is another holder's by then.
  await claimEnd(there, held, to.role, 'planned')
  await removeStream(there, held, to.role)
  const { consistentPoint } = await makeStream(work, to, tables, there)
  await writeEnd(here, held, 'source', { position: consistentPoint })
}
