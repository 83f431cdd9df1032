import { statSync } from 'node:fs'
import type { WriteStream } from 'node:tty'
import type { Progress } from './check/check.ts'
import { limits } from './limits.ts'

const WIDTH = 24

/**
 * One line on a terminal that says what is being done; nothing anywhere else.
 *
 * @param path - the file whose bytes are the work
 */
export function createProgressBar(stream: WriteStream, path?: string) {
  let shown = ''
  let drawnAt = 0
  const total = path === undefined ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0)
  const draw = (text: string) => {
    stream.write(`\r\u001b[K${text}`)
    shown = text
  }
  return {
    show: ({ step, done, bytes }: Progress) => {
      if (!stream.isTTY) return
      const now = Date.now()
      if (shown.startsWith(step) && now - drawnAt < limits.progressEveryMs) return
      drawnAt = now
      const share = bytes === undefined ? done : bytes / Math.max(1, total)
      draw(share === undefined ? `${step} …` : `${step} ${barOf(share)} ${Math.round(share * 100)} %`)
    },
    end: () => {
      if (stream.isTTY && shown !== '') draw('')
    },
  }
}

function barOf(share: number): string {
  const filled = Math.round(Math.min(1, share) * WIDTH)
  return `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`
}
