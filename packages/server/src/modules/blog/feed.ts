/** One entry of a feed. */
export interface FeedItem {
  readonly title: string
  readonly link: string
  readonly excerpt: string
  readonly author: string | null
  readonly category: string | null
  readonly published_date: Date
}

/** Writes an RSS 2.0 feed. */
export function writeFeed(
  channel: { readonly title: string; readonly link: string; readonly description: string },
  items: readonly FeedItem[],
): string {
  const entries = items.map(
    (item) => `<item>
${element('title', item.title)}${element('link', item.link)}${element('guid', item.link)}${element('pubDate', item.published_date.toUTCString())}${element('description', item.excerpt)}${item.author === null ? '' : element('dc:creator', item.author)}${item.category === null ? '' : element('category', item.category)}</item>
`,
  )
  return `<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
${element('title', channel.title)}${element('link', channel.link)}${element('description', channel.description)}${entries.join('')}</channel></rss>
`
}

function element(name: string, text: string): string {
  return `<${name}>${escapeText(text)}</${name}>\n`
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** Control characters have no place in XML 1.0, not even as entities. */
function escapeText(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
      .replace(/[&<>]/g, (character) => entities[character] ?? '')
  )
}
