import { expect, it } from 'vitest'
import { isLoopbackHost } from '../src/http/loopback.ts'

it.each([
  'localhost',
  'LOCALHOST:3000',
  'localhost.',
  'acme.localhost:3000',
  '127.0.0.1',
  '127.0.0.1:1',
  '[::1]',
  '[::1]:3000',
])('answers to %s', (host) => {
  expect(isLoopbackHost(host)).toBe(true)
})

it.each([
  '',
  'localhost:',
  'localhost:evil',
  'evillocalhost',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '127.0.0.2',
  '::1',
  'a b.localhost',
  'localhost\nevil',
])('refuses %j', (host) => {
  expect(isLoopbackHost(host)).toBe(false)
})
