import sharp, { type Sharp } from 'sharp'
import { ProblemError } from '../../http/problem-error.ts'
import { limits } from '../../limits.ts'

/** A picture in one size. */
export interface Picture {
  readonly variant: 'original' | 'medium' | 'small'
  readonly content_type: string
  readonly width: number
  readonly height: number
  readonly data: Buffer
}

/** What is taken, and what it is kept as. */
const formats: Readonly<Record<string, 'jpeg' | 'png' | 'webp'>> = {
  jpeg: 'jpeg',
  png: 'png',
  webp: 'webp',
  gif: 'webp',
}

const sizes = { medium: [800, 450], small: [300, 200] } as const

/**
 * Reads a picture and makes its smaller versions. All of them are written anew from the pixels: nothing of the file that was
 * sent is kept, neither where it was taken nor what else is hidden in it. What it is, its content says, not its name.
 *
 * @throws ProblemError `MEDIA_UNREADABLE`
 */
export async function readPicture(bytes: Buffer): Promise<readonly Picture[]> {
  const source = () =>
    sharp(bytes, { limitInputPixels: limits.picturePixelsMax, failOn: 'error' }).autoOrient()
  try {
    const { format } = await source().metadata()
    const kept = formats[format ?? '']
    if (kept === undefined) throw unreadable()
    return [
      await write('original', source().toFormat(kept)),
      ...(await Promise.all(
        (['medium', 'small'] as const).map((variant) => {
          const [width, height] = sizes[variant]
          const smaller = source().resize({ width, height, fit: 'inside', withoutEnlargement: true })
          return write(variant, smaller.webp())
        }),
      )),
    ]
  } catch (error) {
    if (error instanceof ProblemError) throw error
    throw unreadable(error)
  }
}

async function write(variant: Picture['variant'], image: Sharp): Promise<Picture> {
  const { data, info } = await image.toBuffer({ resolveWithObject: true })
  return { variant, content_type: `image/${info.format}`, width: info.width, height: info.height, data }
}

function unreadable(cause?: unknown): ProblemError {
  const problem = new ProblemError(
    422,
    'MEDIA_UNREADABLE',
    `The body is no JPEG, PNG, WebP or GIF of at most ${limits.picturePixelsMax / 1_000_000} million pixels`,
  )
  problem.cause = cause
  return problem
}
