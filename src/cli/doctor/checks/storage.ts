import type { Check, DoctorFacts, Finding, FolderLook } from '../contract.ts'
import { sizeText } from '../naming.ts'

const gib = 2 ** 30

/** What a folder has to have left: a model of usual size; an engine; sockets and unpacked parts. */
const enough: Readonly<Record<FolderLook['use'], { warnBytes: number; errorBytes: number }>> = {
  models: { warnBytes: 10 * gib, errorBytes: gib },
  home: { warnBytes: gib, errorBytes: gib / 16 },
  temporary: { warnBytes: gib / 2, errorBytes: gib / 16 },
}

const names: Readonly<Record<FolderLook['use'], string>> = {
  models: 'The model store',
  home: "Drover's own folder",
  temporary: 'The folder for temporary files',
}

/** Whom to tell another place: a variable of the environment. */
const variables: Readonly<Record<FolderLook['use'], string>> = {
  models: 'OLLAMA_MODELS',
  home: 'DROVER_HOME',
  temporary: 'TMPDIR',
}

/** Whether Drover can write where it has to, and has room there. */
export const folders: Check = (facts) =>
  (facts.folders ?? []).flatMap((folder) => {
    if (folder.refusal !== undefined) return [refused(folder, facts)]
    return full(folder)
  })

function refused(folder: FolderLook, { host }: DoctorFacts): Finding {
  const { use, path, at, owner, refusal } = folder
  const where = at === path ? path : `${path} (which is to be made within ${at})`
  const base = {
    code: `${use}_not_writable`,
    level: 'error',
    title: `${names[use]} cannot be written`,
  } as const
  const elsewhere = `or have it elsewhere by ${variables[use]}.`
  switch (refusal) {
    case 'EROFS':
      return {
        ...base,
        detail: `${where} lies on a file system that is mounted to be read only.`,
        advice: `Mount it for writing (a file system with errors is mounted so by the kernel: see dmesg), ${elsewhere}`,
        command: `findmnt -T ${at}`,
      }
    case 'ENOTDIR':
      return {
        ...base,
        detail: `${where} is no folder.`,
        advice: `Move what lies there out of the way, ${elsewhere}`,
      }
    default:
      return {
        ...base,
        detail: `${where} belongs to ${owner}, and this user${host ? ` (${host.user.name})` : ''} may not read and write it${refusal === 'EACCES' ? '' : ` (${refusal})`}.`,
        advice: `Make it this user's, run Drover as ${owner}, ${elsewhere}`,
        command: `sudo chown -R ${host?.user.name ?? '$USER'} ${at === path ? path : `${at} # or make ${path} yourself`}`,
      }
  }
}

function full({ use, path, at, freeBytes, totalBytes }: FolderLook): Finding[] {
  if (freeBytes === undefined || totalBytes === undefined || totalBytes === 0) return []
  const { warnBytes, errorBytes } = enough[use]
  if (freeBytes >= warnBytes) {
    if (use !== 'models') return []
    const title = `Model store: ${path}, ${sizeText(freeBytes)} of ${sizeText(totalBytes)} free`
    return [{ code: 'models_well', level: 'ok', title, detail: '' }]
  }
  return [
    {
      code: `${use}_disk_full`,
      level: freeBytes < errorBytes ? 'error' : 'warning',
      title: `The disk of ${path} is nearly full`,
      detail: `${sizeText(freeBytes)} of ${sizeText(totalBytes)} are free${use === 'models' ? '; a model of usual size takes 5 GiB' : ''}.`,
      advice:
        use === 'models'
          ? 'Remove models that nobody uses, or put the store on another disk by OLLAMA_MODELS.'
          : `Make room, or name another place by ${variables[use]}.`,
      command:
        use === 'models' ? 'drover list\ndrover rm <model>' : `du -xh --max-depth=1 ${at} | sort -h | tail`,
    },
  ]
}

/** Models that Ollama's service has, where this user's store is empty. */
export const otherStores: Check = ({ otherStores: stores = [] }) =>
  stores.map((store) => ({
    code: 'models_elsewhere',
    level: 'note',
    title: `Ollama's service has models in ${store}`,
    detail: "Drover's store has none.",
    advice: 'To serve those, name that store; the user that runs Drover must be able to write it.',
    command: `OLLAMA_MODELS=${store} drover serve`,
  }))
