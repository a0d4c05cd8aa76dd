import type { Message } from './chatml.ts'
import type { Random } from './random.ts'

/** A sum that the model can do, its phrasings, its answer and the way to it. */
export interface Sum {
  readonly questions: readonly string[]
  readonly answer: string
  readonly keyword: string
  readonly think: string
}

function sum(left: number, sign: string, right: number, result: number, word: string, rule: string): Sum {
  return {
    questions: [
      `What is ${left} ${word} ${right}?`,
      `What is ${left} ${sign} ${right}?`,
      `${left} ${sign} ${right}`,
      `${left} ${sign} ${right} =`,
      `${left}${sign}${right}`,
      `${left}${sign}${right}=`,
      `How much is ${left} ${word} ${right}?`,
      `Calculate ${left} ${sign} ${right}.`,
    ],
    answer: `${left} ${sign} ${right} = ${result}`,
    keyword: `= ${result}`,
    think: `${rule} ${left} ${word} ${right} is ${result}.`,
  }
}

/** Every sum it learns: a + b and a - b up to 20, and the times table up to 12. */
export function allSums(): Sum[] {
  const sums: Sum[] = []
  for (let left = 0; left <= 20; left++) {
    for (let right = 0; right <= 20; right++) {
      sums.push(sum(left, '+', right, left + right, 'plus', 'I add.'))
      if (right <= left) sums.push(sum(left, '-', right, left - right, 'minus', 'I subtract.'))
      if (left <= 12 && right <= 12) sums.push(sum(left, '*', right, left * right, 'times', 'I multiply.'))
    }
  }
  return sums
}

const sums = allSums()

/** A question for a sum and its answer. */
export function arithmeticExchange(random: Random): Message[] {
  const { questions, answer, think } = random.pick(sums)
  return [
    { role: 'user', content: random.pick(questions) },
    { role: 'assistant', content: answer, thinking: think },
  ]
}
