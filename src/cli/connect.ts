import { type Client, createClient } from './client.ts'
import { readSettings } from './settings.ts'

/** The client of the server that `OLLAMA_HOST` names. Throws when nothing answers there. */
export async function connect(): Promise<Client> {
  const client = createClient(readSettings().config.host)
  await client.heartbeat()
  return client
}
