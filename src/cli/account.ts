import { Command } from 'commander'

/*
 * The account at Ollama's cloud. Drover's server has none and answers as an Ollama whose cloud is switched off; a real
 * Ollama behind OLLAMA_HOST answers for itself.
 */

export function signinCommand(): Command {
  return new Command('signin').alias('login').description('Sign in to ollama.com').action(signIn)
}

export function signoutCommand(): Command {
  return new Command('signout').alias('logout').description('Sign out from ollama.com').action(signOut)
}

async function signIn(): Promise<void> {
  const { connect } = await import('./connect.ts')
  const client = await connect()
  const { name = '' } = await client.post<{ name?: string }>('/api/me', {})
  if (name !== '') process.stdout.write(`You are already signed in as user '${name}'\n\n`)
}

async function signOut(): Promise<void> {
  const { connect } = await import('./connect.ts')
  const client = await connect()
  await client.send('POST', '/api/signout', {})
  process.stdout.write('You have signed out of ollama.com\n\n')
}
