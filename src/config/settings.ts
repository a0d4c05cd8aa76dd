import { z } from 'zod'
import { deviceList, deviceSettings, modelPins } from './devices.ts'
import { engineSettings } from './engine-settings.ts'
import { formatHost, type HostAddress, parseHost } from './host.ts'
import { multiGpuSettings } from './multi-gpu.ts'
import { parseBool, parseLogLevel } from './ollama-values.ts'
import { routingSettings } from './routing-settings.ts'
import {
  count,
  countOrAuto,
  duration,
  durationForms,
  flag,
  list,
  type Setting,
  setting,
  size,
  text,
  type WithDefault,
} from './setting.ts'
import { parseSizeBytes } from './sizes.ts'

export type { Setting } from './setting.ts'

/** Every setting, by its name in the program. */
export const settings = {
  host: setting(
    text
      .transform(parseHost)
      .refine(({ badPort }) => badPort === undefined)
      .transform(({ badPort: _, ...host }): HostAddress => host),
    {
      key: 'host',
      allowed: '[scheme://]host[:port][/path], the port from 0 (any free one) to 65535',
      default: '127.0.0.1:11434',
      about: 'Where the server listens, and where the commands find it. `:11434` listens on every address.',
      // A bad port does not stop Ollama: it takes the default one.
      ollama: { name: 'OLLAMA_HOST', read: withoutBadPort },
    },
  ),
  modelsDir: setting(text, {
    key: 'models',
    allowed: 'a folder',
    default: '~/.ollama/models',
    about: "The model store, in Ollama's own layout: models that Ollama has are there at once.",
    ollama: { name: 'OLLAMA_MODELS' },
    isPath: true,
  }),
  droverHome: setting(text, {
    key: 'home',
    allowed: 'a folder',
    default: '~/.drover',
    about: "Drover's own folder: configuration and installed engines.",
    isPath: true,
  }),
  enginesDir: setting(text.optional(), {
    key: 'enginesDir',
    allowed: 'a folder',
    about:
      'Where `drover engine install` puts engines. `engines` in the folder of Drover where nothing is given.',
    isPath: true,
  }),
  engine: setting(
    z.enum(['auto', 'llama.cpp', 'embedded', 'ollama', 'vllm', 'sglang', 'exllama', 'openai']),
    {
      key: 'engine',
      allowed: 'auto, llama.cpp, embedded, ollama, vllm, sglang, exllama or openai',
      default: 'auto',
      about: 'The engine that runs models. `auto` takes llama.cpp where it is found, else the embedded one.',
    },
  ),
  ollamaProgram: setting(text.optional(), {
    key: 'ollamaProgram',
    allowed: "the path of Ollama's program",
    about:
      'With the engine `ollama`: the program of which one runs for each device; else the PATH is searched.',
    isPath: true,
  }),
  ollamaUrls: setting(
    list.transform((urls) => urls.filter((url) => url !== '')),
    {
      key: 'ollamaUrls',
      allowed: 'a list of URLs such as http://10.0.0.5:11434; in a variable with commas between',
      default: '',
      about:
        'With the engine `ollama`: servers that run already, each taken as a device; none is started then.',
    },
  ),
  ...engineSettings,
  llamaServerPath: setting(text.optional(), {
    key: 'llamaServer',
    allowed: "the path of llama.cpp's llama-server",
    about: 'The one `llama-server` to use; else the PATH and the installed ones are searched.',
    isPath: true,
  }),
  rpcWorkers: setting(
    list.transform((addresses) => addresses.filter((address) => address !== '')),
    {
      key: 'rpcWorkers',
      allowed: 'a list of host:port; in a variable with commas between',
      default: '',
      about:
        'Machines that lend their devices by `drover rpc-worker`: llama.cpp lays parts of its models on them.',
    },
  ),
  rpcKeyFile: setting(text.optional(), {
    key: 'rpcKeyFile',
    allowed: 'a file',
    about:
      'The key that this machine and those of `rpcWorkers` have; without one only workers on this machine are used.',
    isPath: true,
  }),
  keepAliveMs: setting(
    duration.transform((ms) => (ms < 0 ? Number.POSITIVE_INFINITY : ms)),
    {
      key: 'keepAlive',
      live: true,
      allowed: `${durationForms}; 0 unloads at once, a negative one keeps for ever`,
      default: '5m',
      about: 'How long a model stays loaded after its last request.',
      ollama: { name: 'OLLAMA_KEEP_ALIVE' },
    },
  ),
  loadStallTimeoutMs: setting(
    duration.transform((ms) => (ms <= 0 ? Number.POSITIVE_INFINITY : ms)),
    {
      key: 'loadTimeout',
      live: true,
      allowed: `${durationForms}; 0 or less waits for ever`,
      default: '5m',
      about: 'How long a loading model may show no sign of progress before it is given up.',
      ollama: { name: 'OLLAMA_LOAD_TIMEOUT' },
    },
  ),
  maxLoadedModels: setting(count, {
    key: 'maxLoadedModels',
    live: true,
    allowed: 'a whole number from 0 (three for each GPU, three on a machine without)',
    default: '0',
    about: 'How many models are loaded at once at most.',
    ollama: { name: 'OLLAMA_MAX_LOADED_MODELS' },
  }),
  numParallel: setting(countOrAuto.optional(), {
    key: 'numParallel',
    live: true,
    allowed: 'a whole number from 1, or auto',
    about: 'How many requests a model answers at once. Sized by memory and context where nothing is given.',
    ollama: { name: 'OLLAMA_NUM_PARALLEL' },
  }),
  maxQueue: setting(count.pipe(z.number().min(1)), {
    key: 'maxQueue',
    live: true,
    allowed: 'a whole number from 1',
    default: '512',
    about: 'How many requests may wait; those beyond are answered 503.',
    ollama: { name: 'OLLAMA_MAX_QUEUE' },
  }),
  contextLength: setting(countOrAuto.optional(), {
    key: 'contextLength',
    live: true,
    allowed: 'a number of tokens, or auto',
    about: "The context of requests that set none. By the devices' memory where nothing is given.",
    ollama: { name: 'OLLAMA_CONTEXT_LENGTH' },
  }),
  flashAttention: setting(
    z.union([z.enum(['auto', 'on', 'off']), z.boolean().transform((on) => (on ? 'on' : 'off'))]),
    {
      key: 'flashAttention',
      live: true,
      allowed: 'auto, on or off',
      default: 'auto',
      about: 'Whether the engine uses flash attention.',
      ollama: { name: 'OLLAMA_FLASH_ATTENTION', read: parseBool },
    },
  ),
  kvCacheType: setting(z.enum(['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0', 'iq4_nl']), {
    key: 'kvCacheType',
    live: true,
    allowed: 'f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0 or iq4_nl',
    default: 'f16',
    about: 'In what the engine keeps keys and values; smaller takes less memory and is less exact.',
    ollama: { name: 'OLLAMA_KV_CACHE_TYPE', read: (value) => value.toLowerCase() },
  }),
  goTemplate: setting(z.union([flag, z.literal('auto').transform(() => undefined)]).optional(), {
    key: 'goTemplate',
    allowed: 'true, false or auto',
    about:
      "Whether a model's Go template is used although its file has a chat template of its own. What can do more, if absent.",
    ollama: { name: 'OLLAMA_GO_TEMPLATE', read: parseBool },
  }),
  prune: setting(flag, {
    key: 'prune',
    allowed: 'true or false',
    default: 'true',
    about: 'Whether blobs that no model uses any more are removed from the store, at start and after a pull.',
    ollama: { name: 'OLLAMA_NOPRUNE', read: (value) => !parseBool(value) },
  }),
  devices: setting(deviceList.optional(), {
    key: 'devices',
    allowed: 'auto, or a list of cpu, cpu:0-3, numa, gpus, and names of GPUs (UUID, PCI address, number)',
    about:
      'The devices that run models. Every GPU if absent, and the CPU where there is none; `cpu:0,cpu:1` makes two devices of one core each.',
  }),
  gpuInstances: setting(deviceSettings.optional(), {
    key: 'gpuInstances',
    allowed:
      'by device: reserve, memory_limit, models, instances, max_concurrent_requests, port, exclude, weight, watts, cost, labels, tenants; as YAML or JSON',
    about: 'What is set for single devices; see docs/devices.md.',
  }),
  pins: setting(modelPins.optional(), {
    key: 'pins',
    live: true,
    allowed: 'by model: the devices that it runs on, as YAML or JSON',
    about: 'Models that run on certain devices only.',
  }),
  hangTimeoutMs: setting(
    duration.transform((ms) => (ms <= 0 ? Number.POSITIVE_INFINITY : ms)),
    {
      key: 'hangTimeout',
      allowed: `${durationForms}; 0 or less never ends one`,
      default: '10s',
      about: 'How long an engine may live without answering before it is ended and started anew.',
    },
  ),
  gpuOverheadBytes: setting(
    z
      .union([z.string(), z.number()])
      .transform((value) => parseSizeBytes(String(value).trim()))
      .pipe(z.number().int().min(0)),
    {
      key: 'gpuOverhead',
      live: true,
      allowed: 'a size such as 1GiB or a number of bytes',
      default: '0',
      about: 'Memory of each GPU that is left to other programs.',
      ollama: { name: 'OLLAMA_GPU_OVERHEAD' },
    },
  ),
  origins: setting(
    list.transform((origins) => origins.filter((origin) => origin !== '')),
    {
      key: 'origins',
      allowed: 'a list of origins such as https://example.org, * for any; in a variable with commas between',
      default: '',
      about: "Web pages that may call the API, beside this machine's own and desktop applications.",
      ollama: { name: 'OLLAMA_ORIGINS' },
    },
  ),
  logLevel: setting(z.enum(['trace', 'debug', 'info', 'warn', 'error']), {
    key: 'logLevel',
    live: true,
    allowed: 'trace, debug, info, warn or error',
    default: 'info',
    about: 'How much is logged. Texts of prompts and answers never are.',
    ollama: { name: 'OLLAMA_DEBUG', read: parseLogLevel },
  }),
  memoryLimitBytes: setting(size.optional(), {
    key: 'memoryLimit',
    live: true,
    allowed: 'a size such as 8GiB, 500MB or a number of bytes',
    about:
      "Memory that loaded models may take together. Nine tenths of the machine's and all of its GPUs' if absent.",
  }),
  maxBodyBytes: setting(size, {
    key: 'maxBodySize',
    allowed: 'a size such as 64MiB or a number of bytes',
    default: '64MiB',
    about: 'The largest request that is read; a larger one is answered 413.',
  }),
  drainTimeoutMs: setting(duration.pipe(z.number().min(0)), {
    key: 'drainTimeout',
    live: true,
    allowed: durationForms,
    default: '30s',
    about: 'How long running answers may go on when the server is told to stop.',
  }),
  ...routingSettings,
  ...multiGpuSettings,
}

export type SettingName = keyof typeof settings

type ValueOf<Row extends { schema: z.ZodType }> = Row extends WithDefault
  ? z.output<Row['schema']>
  : z.output<Row['schema']> | undefined

/** Every setting with its value; those of sections by their whole name: `multiGpu.strategy`. */
export type Values = { [Name in SettingName]: ValueOf<(typeof settings)[Name]> }

/** `keepAlive` to `DROVER_KEEP_ALIVE`, `multi_gpu.strategy` to `DROVER_MULTI_GPU_STRATEGY`. */
export function variableOf({ key }: Pick<Setting, 'key'>): string {
  return `DROVER_${key
    .replace(/[A-Z]/g, (letter) => `_${letter}`)
    .replaceAll('.', '_')
    .toUpperCase()}`
}

/** `llamaServer` to `--llama-server`. */
export function flagOf({ key }: Pick<Setting, 'key'>): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

function withoutBadPort(value: string): string {
  const host = parseHost(value)
  return host.badPort === undefined ? value : formatHost(host)
}
