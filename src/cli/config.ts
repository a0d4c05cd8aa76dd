import { Command } from 'commander'

export function configCommand(): Command {
  const config = new Command('config').description(
    'The settings of Drover: what they are, and where they stand',
  )
  const withFile = (command: Command) =>
    command.option(
      '--config <file>',
      'the configuration file (default: drover.yaml or config.yaml in ~/.drover)',
    )
  withFile(config.command('get'))
    .argument('[key]', 'a setting, such as keepAlive or multi_gpu.strategy')
    .description('A setting and where it comes from; without a key, all of them')
    .option('--json', 'as JSON')
    .action(async (key: string | undefined, flags: { config?: string; json?: boolean }) => {
      const { getSettings } = await import('./config/read.ts')
      process.stdout.write(getSettings(key, flags))
    })
  withFile(config.command('set'))
    .argument('<key>', 'a setting, such as keepAlive or multi_gpu.strategy')
    .argument('[value]', 'what it is to be, as the file would have it')
    .description('Write a setting into the file, whose comments stay; a server that runs takes it')
    .option('--unset', 'take the setting out of the file')
    .action(async (key: string, value: string | undefined, flags: { config?: string; unset?: boolean }) => {
      const { setSetting } = await import('./config/write.ts')
      process.stdout.write(setSetting(key, value, flags))
    })
  config
    .command('validate')
    .argument('[file]', 'a file; without one, the configuration that counts here, variables too')
    .description('Check a configuration and tell every error in it')
    .action(async (file: string | undefined) => {
      const { validate } = await import('./config/read.ts')
      process.stdout.write(validate(file))
    })
  config
    .command('explain')
    .argument('[key]', 'a setting, or a section such as multi_gpu.memory; without one, all of them')
    .description('What settings do, what they take, their defaults and variables')
    .action(async (key: string | undefined) => {
      const { explain } = await import('./config/read.ts')
      process.stdout.write(explain(key))
    })
  withFile(config.command('init'))
    .description('Write a file with every setting in it, explained and left at its default')
    .action(async (flags: { config?: string }) => {
      const { writeDefaults } = await import('./config/write.ts')
      process.stdout.write(writeDefaults(flags))
    })
  withFile(config.command('import'))
    .argument('<file>', "an INI file with another balancer's settings")
    .description("Translate another balancer's settings and print them, or write them into the file")
    .option('--write', 'write them into the configuration file')
    .action(async (file: string, flags: { config?: string; write?: boolean }) => {
      const { importFile } = await import('./config/write.ts')
      const { out, notes } = importFile(file, flags)
      process.stderr.write(notes)
      process.stdout.write(out)
    })
  config
    .command('schema')
    .description('Print the JSON Schema of the file, for editors')
    .action(async () => {
      const { configSchema } = await import('../config/index.ts')
      process.stdout.write(`${JSON.stringify(configSchema(), undefined, 2)}\n`)
    })
  return config
}
