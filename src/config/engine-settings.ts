import { z } from 'zod'
import { parseOpenAiServer, parsePair } from './openai-servers.ts'
import { list, setting } from './setting.ts'

/** A list whose entries `parse` reads; what it throws is what is wrong. */
const listOf = <Entry>(parse: (written: string) => Entry) =>
  list.transform((entries, context): Entry[] => {
    try {
      return entries.filter((entry) => entry !== '').map(parse)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
      return z.NEVER
    }
  })

/** Engines that are asked by OpenAI's API. */
export const engineSettings = {
  openaiUrls: setting(listOf(parseOpenAiServer), {
    key: 'openaiUrls',
    allowed:
      'a list of addresses with words behind them, as in docs/engines.md; in a variable with commas between',
    default: '',
    about:
      "With the engines `openai`, `vllm`, `sglang` and `exllama`: servers of OpenAI's API that run already; none is started then.",
  }),
  enginePrograms: setting(
    listOf(parsePair).transform((pairs) => new Map(pairs)),
    {
      key: 'enginePrograms',
      allowed:
        "a list of vllm=PROGRAM, sglang=PYTHON and exllama=FOLDER (TabbyAPI's); in a variable with commas between",
      default: '',
      about: 'Where engines are that are not found by themselves.',
    },
  ),
  modelFolders: setting(
    listOf(parsePair).transform((pairs) => new Map(pairs)),
    {
      key: 'modelFolders',
      allowed: 'a list of MODEL=FOLDER, or a name on Hugging Face; in a variable with commas between',
      default: '',
      about:
        'Models in the form that vLLM, SGLang and ExLlama run; name, template and limits stay those of the store.',
    },
  ),
}
