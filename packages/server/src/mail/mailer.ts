import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'

export interface Mail {
  readonly to: string
  readonly subject: string
  /** Plain text. */
  readonly text: string
}

/** The one way out for mail. */
export interface Mailer {
  send(mail: Mail): Promise<void>
}

/** How long one mail may take. */
const SMTP_MS_MAX = 10_000

/**
 * Sends mail through an SMTP server.
 *
 * @param options.url `smtps://user:password@host:465` or `smtp://host:25`
 * @param options.from the sender's address
 */
export function createSmtpMailer({ url, from }: { readonly url: string; readonly from: string }): Mailer {
  const times = { connectionTimeout: SMTP_MS_MAX, greetingTimeout: SMTP_MS_MAX, socketTimeout: SMTP_MS_MAX }
  const transport = createTransport({ url, ...times }, { from })
  return {
    async send(mail) {
      await transport.sendMail(mail)
    },
  }
}

/** Writes each mail into a file of the directory, for this user only: for development. */
export function createFileMailer(directory: string): Mailer {
  return {
    async send({ to, subject, text }) {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const name = `${new Date().toISOString().replaceAll(':', '-')}-${randomUUID().slice(0, 8)}.txt`
      await writeFile(join(directory, name), `To: ${to}\nSubject: ${subject}\n\n${text}\n`, { mode: 0o600 })
    },
  }
}
