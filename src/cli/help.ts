import type { Argument, Command, Option } from 'commander'
import { environmentOf } from './environment.ts'

/** Help as Ollama lays it out: what it does, how it is called, commands, flags, environment. */
export function formatHelp(command: Command): string {
  const path = pathOf(command)
  const visible = command.commands.filter((one) => !isHidden(one))
  const usage = [
    ...(visible.length > 0 && command.parent ? [] : [`${path}${argumentsOf(command)} [flags]`]),
    ...(visible.length > 0 ? [`${path} [command]`] : []),
  ]
  const names = [command.name(), ...command.aliases()]
  const sections = [
    section(
      'Usage',
      usage.map((line) => `  ${line}`),
    ),
    command.aliases().length > 0 ? section('Aliases', [`  ${names.join(', ')}`]) : '',
    section(
      'Available Commands',
      columns(
        visible.map((one) => [one.name(), one.description()]),
        '  ',
      ),
    ),
    section('Flags', columns(flagsOf(command), '  ')),
    section('Environment Variables', columns(environmentOf(command), '      ')),
  ]
  const more =
    visible.length > 0 ? `Use "${path} [command] --help" for more information about a command.\n` : ''
  return [command.description() && `${command.description()}\n`, ...sections, more]
    .filter((text) => text !== '')
    .join('\n')
}

/** `drover engine list`. */
export function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
}

/** ` MODEL [PROMPT]`, with a space before each. */
export function argumentsOf(command: Command): string {
  return command.registeredArguments.map((argument) => ` ${nameOf(argument)}`).join('')
}

function nameOf(argument: Argument): string {
  if (!argument.required) return `[${argument.name()}]`
  return argument.variadic ? `${argument.name()} [${argument.name()}...]` : argument.name()
}

/** Each flag as it is written, and what it does; `--help` is one. */
export function flagsOf(command: Command): [string, string][] {
  const own = command.options.filter(({ hidden }) => !hidden).map(flagRow)
  const help: [string, string] = ['-h, --help', `help for ${command.name()}`]
  return [...own, help]
}

function flagRow({ short, long, flags, description }: Option): [string, string] {
  const value = /[<[](.+)[\]>]/.exec(flags)?.[1]
  return [`${short ? `${short}, ` : '    '}${long}${value ? ` ${value}` : ''}`, description]
}

/** A command that is started by programs only. */
function isHidden(command: Command): boolean {
  return command.description() === ''
}

function section(title: string, lines: string[]): string {
  return lines.length === 0 ? '' : `${title}:\n${lines.join('\n')}\n`
}

function columns(rows: readonly (readonly [string, string])[], indent: string): string[] {
  const width = Math.max(0, ...rows.map(([first]) => first.length))
  return rows.map(([first, second]) => `${indent}${first.padEnd(width)}   ${second}`)
}
