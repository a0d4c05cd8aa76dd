import type { Client } from '../client.ts'
import type { Session } from '../session.ts'
import type { History } from '../terminal/history.ts'

/** What the prompt works on. */
export interface ReplState {
  client: Client
  session: Session
  history: History
  /** Has the server load the session's model. */
  load(client: Client, session: Session): Promise<void>
}
