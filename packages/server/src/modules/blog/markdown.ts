import markdownIt from 'markdown-it'
import sanitizeHtml from 'sanitize-html'

// Two walls: HTML in Markdown is text, and what was rendered is reduced to a list of elements, attributes and schemes.
const markdown = markdownIt({ html: false, linkify: true })

const allowed: sanitizeHtml.IOptions = {
  allowedTags: [
    ...[
      'p',
      'br',
      'hr',
      'h1',
      'h2',
      'h3',
      'h4',
      'h5',
      'h6',
      'blockquote',
      'pre',
      'code',
      'em',
      'strong',
      's',
    ],
    ...['ul', 'ol', 'li', 'a', 'img', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
  ],
  allowedAttributes: { a: ['href', 'title', 'rel'], img: ['src', 'alt', 'title'], ol: ['start'] },
  allowedSchemes: ['http', 'https', 'mailto'],
  allowProtocolRelative: false,
  transformTags: { a: sanitizeHtml.simpleTransform('a', { rel: 'nofollow noopener' }) },
}

const EXCERPT_LENGTH = 300

/** Renders Markdown to HTML that may be shown as it is. */
export function renderMarkdown(content: string): string {
  return sanitizeHtml(markdown.render(content), allowed)
}

/** The beginning of what Markdown says, as plain text that ends with a whole word. */
export function excerptOf(content: string): string {
  // Four times as much: marks and addresses of links go away.
  const words = sanitizeHtml(markdown.render(content.slice(0, EXCERPT_LENGTH * 4)), {
    allowedTags: [],
    allowedAttributes: {},
    textFilter: (text) =>
      text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&'),
  })
    .replace(/\s+/g, ' ')
    .trim()
  if (words.length <= EXCERPT_LENGTH) return words
  const cut = words.slice(0, EXCERPT_LENGTH).toWellFormed()
  return `${cut.slice(0, Math.max(cut.lastIndexOf(' '), EXCERPT_LENGTH / 2))}…`
}

/** A slug of a title: letters without their accents, digits, single hyphens, 100 characters at most; empty when nothing is left. */
export function slugOf(title: string): string {
  return title
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 100)
    .replace(/^-|-$/g, '')
}
