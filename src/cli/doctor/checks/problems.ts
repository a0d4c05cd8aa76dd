import type { Check, DoctorFacts, Finding } from '../contract.ts'
import { sentence } from '../naming.ts'
import { nvidiaFinding } from './nvidia-driver.ts'

/** What the probes could not do: as far as it is known with its cure, else in their own words. */
export const probeProblems: Check = (facts) => [
  ...facts.problems.flatMap((problem) => nvidiaFinding(facts, problem) ?? plainFinding(facts, problem)),
  ...facts.late.map(lateFinding),
]

function plainFinding(facts: DoctorFacts, problem: string): Finding[] {
  if (facts.recorded) return recordedFinding(facts, facts.recorded, problem)
  const [title, advice] = cutSentence(problem)
  return [
    {
      code: 'probe_problem',
      level: 'warning',
      title,
      detail: '',
      advice: advice || 'Run the program that is named by hand, and see what it says.',
    },
  ]
}

/** Of a recorded output either it could not be read, or there is something to remark on it. */
function recordedFinding({ devices }: DoctorFacts, files: readonly string[], problem: string): Finding[] {
  const unread = files.find((name) => problem.startsWith(`${name}: `))
  if (unread !== undefined) {
    return [
      {
        code: 'not_read',
        level: 'warning',
        title: `${unread} was not read`,
        detail: sentence(problem.slice(unread.length + 2)),
        advice:
          'Give the whole, unchanged output of nvidia-smi -q -x, amd-smi, rocm-smi, xpu-smi, lspci or the like.',
      },
    ]
  }
  const file = files.find((name) => problem.startsWith(`${name} (`)) ?? ''
  const [, tool = '', remark = problem] = /^ \((.+?)\): (.*)$/s.exec(problem.slice(file.length)) ?? []
  // Such a card is told of itself.
  const isOfCard = /device handle/.test(remark) && devices.some(({ state }) => state !== 'ok')
  return isOfCard ? [] : [{ code: 'remark', level: 'note', title: remark, detail: `${file}, ${tool}` }]
}

/** What is wrong, and what to do, which these texts have after the first sentence, colon or semicolon. */
function cutSentence(text: string): [string, string] {
  const end = /[.:;](\s+|$)/g
  // A beginning as short as a program's name is no sentence.
  end.lastIndex = 20
  const found = end.exec(text)
  if (!found) return [text.replace(/\.$/, '') || 'A probe failed without a word', '']
  const rest = text.slice(end.lastIndex)
  return [text.slice(0, found.index), rest.charAt(0).toUpperCase() + rest.slice(1)]
}

function lateFinding(what: string): Finding {
  return {
    code: 'no_answer',
    level: 'warning',
    title: `No answer in time from ${what}`,
    detail: 'It was left out of what is said here.',
    advice:
      'Run `drover doctor` again; if it stays so, a driver or a program hangs: `drover engine list` and `drover gpus` show which.',
  }
}
