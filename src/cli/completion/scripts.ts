import type { Command, Option } from 'commander'
import { integrations } from '../launch/integrations.ts'

/** What one command can be completed with. */
interface Completion {
  name: string
  aliases: string[]
  description: string
  options: Option[]
  /** What stands after it: names of models, of files, or words that are known here. */
  operands: { models: boolean; words: string[] }
  /** Its subcommands, such as those of `engine`. */
  subcommands: string[]
}

/** The script that teaches a shell the program's commands, flags and, asked of the server, models. */
export function completionScript(shell: 'bash' | 'zsh' | 'fish', program: Command): string {
  const commands = program.commands.map(completionOf)
  const name = program.name()
  return { bash, zsh, fish }[shell](name, commands)
}

const names = integrations.map(({ name }) => name)

function completionOf(command: Command): Completion {
  const argument = command.registeredArguments[0]
  return {
    name: command.name(),
    aliases: [...command.aliases()],
    description: command.description(),
    options: command.options.filter(({ hidden }) => !hidden),
    operands: {
      models: /^(MODEL|SOURCE|PREFIX)$/.test(argument?.name() ?? ''),
      words: [...(argument?.argChoices ?? []), ...(command.name() === 'launch' ? names : [])],
    },
    subcommands: command.commands.map((one) => one.name()),
  }
}

const wordsOf = ({ operands, subcommands }: Completion) => [...operands.words, ...subcommands]
const flagsOf = ({ options }: Completion) => [
  ...options.flatMap(({ long }) => (long ? [long] : [])),
  '--help',
]
const namesOf = ({ name, aliases }: Completion) => [name, ...aliases]

/** The names of the models, one a line; nothing when no server answers. */
const listModels = (name: string) => `${name} list 2>/dev/null | awk 'NR > 1 { print $1 }'`

function bash(name: string, commands: readonly Completion[]): string {
  const cases = commands.map((command) => {
    const words = [...wordsOf(command), ...flagsOf(command)].join(' ')
    const models = command.operands.models ? ' models=1' : ''
    return `    ${namesOf(command).join('|')}) words="${words}"${models} ;;`
  })
  return `# bash completion for ${name}: source <(${name} completion bash)
_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" words="" models=""
  # Readline takes a colon for the end of a word, and model names have one.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n : -c current
  fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.flatMap(namesOf).join(' ')} --help --version" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[COMP_CWORD - 1]}" in
    -f | --file) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --model) models=1 ;;
  esac
  case "$command" in
${cases.join('\n')}
  esac
  if [ -n "$models" ]; then
    words="$words $(${listModels(name)})"
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if declare -F __ltrim_colon_completions >/dev/null; then
    __ltrim_colon_completions "$current"
  fi
}
complete -F _${name} ${name}
`
}

function zsh(name: string, commands: readonly Completion[]): string {
  const described = commands.flatMap((command) =>
    namesOf(command).map((one) => `    '${one}:${quoteZsh(command.description)}'`),
  )
  const cases = commands.map((command) => {
    const flags = command.options.map(
      ({ long, description, required }) =>
        `'${long}${required ? '=' : ''}[${quoteZsh(description)}]${required ? ':value:_files' : ''}'`,
    )
    const words = wordsOf(command)
    const operand = command.operands.models
      ? `'*:model:_${name}_models'`
      : `'*:argument:(${words.join(' ')})'`
    return `    ${namesOf(command).join('|')}) _arguments ${[...flags, operand].join(' ')} ;;`
  })
  return `#compdef ${name}
# zsh completion for ${name}: ${name} completion zsh > "\${fpath[1]}/_${name}"
_${name}_models() {
  local -a models
  models=(\${(f)"$(${listModels(name)})"})
  # A colon would begin a description.
  compadd -a models
}
_${name}() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = "_${name}" ]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`
}

function quoteZsh(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, '\\$&')
}

function fish(name: string, commands: readonly Completion[]): string {
  const lines = commands.flatMap((command) => {
    const when = `-n '__fish_seen_subcommand_from ${namesOf(command).join(' ')}'`
    const words = wordsOf(command)
    return [
      ...namesOf(command).map(
        (one) =>
          `complete -c ${name} -n __fish_use_subcommand -a ${one} -d '${quoteFish(command.description)}'`,
      ),
      ...(words.length > 0 ? [`complete -c ${name} ${when} -a '${words.join(' ')}'`] : []),
      ...(command.operands.models ? [`complete -c ${name} ${when} -a '(__${name}_models)'`] : []),
      ...command.options.map((option) => `complete -c ${name} ${when} ${fishOption(option)}`),
    ]
  })
  return `# fish completion for ${name}: ${name} completion fish > ~/.config/fish/completions/${name}.fish
function __${name}_models
  ${listModels(name)}
end
complete -c ${name} -f
${lines.join('\n')}
`
}

function fishOption({ short, long, description, required }: Option): string {
  const letters = short ? `-s ${short.slice(1)} ` : ''
  return `${letters}-l ${long?.slice(2)}${required ? ' -r -F' : ''} -d '${quoteFish(description)}'`
}

function quoteFish(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
}
