import type { Command } from 'commander'
import { argumentsOf, environmentOf, flagsOf, pathOf } from '../../src/cli/index.ts'

/** The manual page of a program, in the `man` macros of troff. */
export function manPage(program: Command): string {
  const name = program.name()
  const lines = [
    `.TH ${name.toUpperCase()} 1 "" "${name}" "User Commands"`,
    '.SH NAME',
    `${name} \\- ${text(program.description())}`,
    '.SH SYNOPSIS',
    `.B ${name}`,
    '[\\fIcommand\\fR] [\\fIflags\\fR]',
    '.SH DESCRIPTION',
    'The commands are those of Ollama, with its flags, columns and words; what is Drover\\(aqs own is said so.',
    'Started through a link named \\fBollama\\fR it calls itself so.',
    '.SH COMMANDS',
    ...program.commands.flatMap((command) => [command, ...command.commands]).flatMap(commandLines),
    '.SH AT THE PROMPT',
    '\\fBrun\\fR with a model and nothing to ask opens a prompt. \\fB/?\\fR lists its commands and \\fB/? shortcuts\\fR its keys.',
    'Three double quotes begin and end a message of several lines.',
    'Ctrl\\-C stops an answer, Ctrl\\-D ends, Ctrl\\-G opens an editor.',
    '.SH ENVIRONMENT',
    ...environmentLines(program),
    '.SH FILES',
    ...entry('~/.ollama/models', 'The models, shared with Ollama.'),
    ...entry('~/.ollama/history', 'What was typed at the prompt, the newest hundred lines.'),
    ...entry('~/.drover/config.yaml', 'The configuration of the server.'),
    '.SH EXIT STATUS',
    '0 when all went well, 1 when not; of \\fBlaunch\\fR, what the program ended with.',
  ]
  return `${lines.join('\n')}\n`
}

function commandLines(command: Command): string[] {
  const called = `\\fB${text(pathOf(command))}\\fR${text(argumentsOf(command))}`
  const aliases =
    command.aliases().length > 0 ? ` Also called \\fB${text(command.aliases().join(', '))}\\fR.` : ''
  const help = flagsOf(command).filter(([flag]) => !flag.includes('--help'))
  return [
    '.TP',
    called,
    `${text(sentence(command.description()))}${aliases}`,
    ...(help.length > 0 ? ['.RS', ...help.flatMap(([flag, what]) => entry(flag.trim(), what)), '.RE'] : []),
  ]
}

function environmentLines(program: Command): string[] {
  const variables = new Map(program.commands.flatMap(environmentOf))
  return [...variables].sort().flatMap(([name, what]) => entry(name, what))
}

function entry(term: string, what: string): string[] {
  return ['.TP', `\\fB${text(term)}\\fR`, text(sentence(what))]
}

function sentence(words: string): string {
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? '' : '.'}`
}

/** Text with what troff would take for its own escaped. */
function text(words: string): string {
  return words.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq').replace(/^\./, '\\&.')
}
