import type { Command, Option } from 'commander'

const booleans: Record<string, boolean> = {
  true: true,
  false: false,
  t: true,
  f: false,
  '1': true,
  '0': false,
  TRUE: true,
  FALSE: false,
  True: true,
  False: false,
  T: true,
  F: false,
}

/**
 * Writes the flags of a command line as Commander takes them. Ollama's library takes a flag's optional value only with
 * `=` (in `run m --think why` the last word is the prompt) and knows `--verbose=false`. Throws for a value that is no
 * boolean where one belongs.
 */
export function normalizeFlags(args: readonly string[], program: Command): string[] {
  const end = args.indexOf('--')
  const [before, after] = end < 0 ? [args, []] : [args.slice(0, end), args.slice(end)]
  const command = commandOf(before, program)
  return [...before.flatMap((arg) => normalize(arg, optionOf(arg, command, program))), ...after]
}

function commandOf(args: readonly string[], program: Command): Command {
  const name = args.find((arg) => !arg.startsWith('-'))
  return program.commands.find((one) => one.name() === name || one.aliases().includes(name ?? '')) ?? program
}

function optionOf(arg: string, command: Command, program: Command): Option | undefined {
  const [flag] = arg.split('=', 1)
  return [...command.options, ...program.options].find(({ long }) => long === flag)
}

function normalize(arg: string, option: Option | undefined): string[] {
  if (!option) return [arg]
  const at = arg.indexOf('=')
  if (option.optional) return [at < 0 ? `${arg}=true` : arg]
  if (option.required || at < 0) return [arg]
  const value = booleans[arg.slice(at + 1)]
  if (value === undefined) {
    throw new Error(
      `invalid argument ${JSON.stringify(arg.slice(at + 1))} for "${option.long}" flag: it takes true or false`,
    )
  }
  return value ? [arg.slice(0, at)] : []
}
