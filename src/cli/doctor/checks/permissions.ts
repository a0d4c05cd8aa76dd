import type { Check, DeviceFile, DoctorFacts, Finding, HostLook } from '../contract.ts'
import { listed } from '../naming.ts'

/** Device files that this user may not open, with the group to join. */
export const permissions: Check = (facts) => {
  const { drivers, host } = facts
  if (!drivers || !host) return []
  const denied = drivers.files.filter(({ mayUse }) => !mayUse)
  const byGroup = Map.groupBy(denied, ({ group, groupMayUse }) => (groupMayUse ? group : ''))
  return [...byGroup].map(([group, files]) => finding(group, files, facts, host))
}

function finding(group: string, files: readonly DeviceFile[], facts: DoctorFacts, host: HostLook): Finding {
  const paths = listed(files.map(({ path }) => path))
  return {
    code: 'no_permission',
    level: concerns(files, facts) ? 'error' : 'warning',
    title: `This user (${host.user.name}) may not open ${paths}`,
    detail:
      group === ''
        ? 'Only root may, and no group.'
        : `Members of the group "${group}" may; this process is not one of them.`,
    ...cure(group, files, host),
  }
}

/** A processor's own graphics beside a card that may be used is no loss. */
function concerns(files: readonly DeviceFile[], { devices }: DoctorFacts): boolean {
  const barred = devices.filter(({ state }) => state === 'no_permission')
  return (
    barred.some(({ kind }) => kind !== 'integrated') ||
    files.some(({ path }) => path.startsWith('/dev/nvidia'))
  )
}

function cure(group: string, files: readonly DeviceFile[], { user, container }: HostLook) {
  if (container !== undefined) {
    const devices = [...new Set(files.map(({ path }) => path.replace(/\/renderD\d+$/, '')))]
    return {
      advice: 'Start the container with these devices and with the number that the group has on the host.',
      command: `docker run ${devices.map((path) => `--device ${path}`).join(' ')} --group-add $(stat -c %g ${files[0]?.path}) ...`,
    }
  }
  if (group === '' || group === 'root') {
    return {
      advice:
        "Have the driver's rules make these files again (a reboot does), or let a group of yours use them by a rule of udev.",
      command: `ls -l ${files.map(({ path }) => path).join(' ')}`,
    }
  }
  if (user.enteredIn.includes(group)) {
    return {
      advice: `${user.name} is entered in the group already: log out and in again. A service wants a restart.`,
    }
  }
  return {
    advice: 'Join the group, then log out and in again. A service wants SupplementaryGroups= in its unit.',
    command: `sudo usermod -aG ${group} ${user.name}`,
  }
}
