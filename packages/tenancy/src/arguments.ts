import { QuickScaleError } from './errors.ts'

/** The first thing that callers without a type checker meet: each check names the argument and what it should be. */

/** @throws QuickScaleError `ARGUMENT_INVALID` */
export function assertObject(argument: string, value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return
  throw argumentInvalid(argument, 'an object')
}

/**
 * An object with nothing else than `known`: a key that nobody reads may be the misspelt one that was to keep a tenant in its region.
 *
 * @throws QuickScaleError `ARGUMENT_INVALID`
 */
export function assertKeys(argument: string, value: unknown, known: readonly string[]): void {
  assertObject(argument, value)
  const strange = Object.keys(value as object).find((key) => !known.includes(key))
  if (strange === undefined) return
  throw argumentInvalid(argument, `without ${JSON.stringify(strange)}; it may have ${known.join(', ')}`)
}

/** @throws QuickScaleError `ARGUMENT_INVALID` */
export function assertArray(argument: string, value: unknown): void {
  if (!Array.isArray(value)) throw argumentInvalid(argument, 'an array')
}

/** @throws QuickScaleError `ARGUMENT_INVALID` */
export function assertFunction(argument: string, value: unknown): void {
  if (typeof value !== 'function') throw argumentInvalid(argument, 'a function')
}

/** Whatever `for await` takes. @throws QuickScaleError `ARGUMENT_INVALID` */
export function assertIterable(argument: string, value: unknown): void {
  const candidate = Object(value) as Partial<Iterable<unknown> & AsyncIterable<unknown>>
  if (typeof candidate[Symbol.iterator] === 'function') return
  if (typeof candidate[Symbol.asyncIterator] === 'function') return
  throw argumentInvalid(argument, 'an array or an iterator')
}

/** A number that may be left out; NaN is none. @throws QuickScaleError `ARGUMENT_INVALID` */
export function assertNumber(argument: string, value: unknown): void {
  if (value === undefined || (typeof value === 'number' && !Number.isNaN(value))) return
  throw argumentInvalid(argument, 'a number')
}

/** @throws QuickScaleError `ARGUMENT_INVALID` */
export function assertWithin(argument: string, value: unknown, min: number, max: number): void {
  if (value === undefined || (typeof value === 'number' && value >= min && value <= max)) return
  throw argumentInvalid(argument, `a number from ${min} to ${max}`)
}

function argumentInvalid(argument: string, wanted: string): QuickScaleError {
  return new QuickScaleError('ARGUMENT_INVALID', { argument, wanted })
}
