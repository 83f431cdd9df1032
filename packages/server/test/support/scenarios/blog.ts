import sharp from 'sharp'
import type { Scenario } from './scenario.ts'

/** Posts: written, published, read by everybody, taken back. */
export const posts: Scenario = async ({ call, send }) => {
  const category = await call('POST', '/categories', { name: 'Craft', slug: 'craft' })
  const post = await call('POST', '/posts', { title: 'Über Öl', content: '*Oil*', category_id: category.id })
  await send('POST', '/posts', { title: 'Über Öl', content: 'x' })
  await send('GET', '/blog/posts/uber-ol')
  await call('PATCH', `/posts/${post.id}`, { status: 'published' })
  await send('GET', '/blog/posts/uber-ol')
  const program = { title: 'By a program', content: '# Hello', category: 'craft', tags: ['news', 'craft'] }
  const published = await call('POST', '/blog/publish', program)
  await send('POST', '/blog/publish', program)
  await send('POST', '/blog/publish', { ...program, title: 'Lost', category: 'nowhere' })
  await send('GET', '/blog/posts')
  await send('GET', '/blog/feed.xml')
  for (const { id } of [post, published]) await send('DELETE', `/posts/${id}`)
  const { items } = await call('GET', '/blog-tags')
  for (const { id } of items) await send('DELETE', `/blog-tags/${id}`)
  await send('DELETE', `/categories/${category.id}`)
}

/** A picture in three sizes. */
export const pictures: Scenario = async ({ call, send }) => {
  const red = { width: 900, height: 600, channels: 3, background: '#c00' } as const
  const picture = await sharp({ create: red }).png().toBuffer()
  const type = { 'content-type': 'image/png' }
  const { id } = await call('POST', '/media?filename=red.png&alt=Red', picture, type)
  await send('POST', '/media?filename=half.png', picture.subarray(0, 50), type)
  for (const variant of ['original', 'medium', 'small', 'huge'])
    await send('GET', `/blog/media/${id}/${variant}`)
  await send('PATCH', `/media/${id}`, { alt: 'Very red' })
  await send('GET', '/media?q=very')
  await send('DELETE', `/media/${id}`)
}
