import type { HttpClient } from '../http-client.ts'

/**
 * What a caller does with a tenant whose place they do not know. It leaves the tenant as it found it, so that it can be told
 * again and again; what it hears is in the client's transcript.
 */
export type Scenario = (client: HttpClient) => Promise<void>
