import type { UnitPlan, Units } from './unit-files.ts'

/** The commands that put units in place and start them, to be run by somebody who may. */
export function installLines(
  units: Units,
  { user, homeDir, userExists }: Pick<UnitPlan, 'user' | 'homeDir'> & { userExists: boolean },
  folder: string,
): string[] {
  const copied = [...new Set(units.files.map(({ path }) => path.split('/')[0] ?? path))]
  const from = copied.map((name) => shellWord(`${folder}/${name}`)).join(' ')
  const create = `sudo useradd --system --create-home --home-dir ${shellWord(homeDir)} --shell /usr/sbin/nologin ${shellWord(user)}`
  const folders = units.folders.map(shellWord).join(' ')
  return [
    ...(userExists ? [] : [create]),
    // Folders that are there keep what is in them.
    `sudo install -d -o ${shellWord(user)} ${folders}`,
    `sudo cp -r ${from} /etc/systemd/system/ && sudo systemctl daemon-reload && ` +
      `sudo systemctl enable --now ${units.services.join(' ')}`,
  ]
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
