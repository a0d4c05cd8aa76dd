import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import type { ApiContext } from '../context.ts'
import { type ConfigurationReport, configurationOf } from '../drover/configuration.ts'
import { goMap, goStruct } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'

const prefix = 'multi_gpu.'

type Section = { [key: string]: unknown }

/** `GET /api/multigpu/config`: the section `multi_gpu` in force, and whence each of its values is. */
export async function showConfig(context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  return sendJson(reply, JSON.stringify(configReport(configurationOf(context).report())))
}

/** The section, or an object that has it, as the file does. */
const anySection = {
  ...goMap,
  jsonSchema: { type: 'object', description: 'The section `multi_gpu`, or part of it' },
}
export const configRequest = goStruct('api', 'MultiGPUConfigRequest', { multi_gpu: anySection })

/**
 * `PUT /api/multigpu/config`: writes what the body names into the file and takes it at once; null takes a value back to
 * its default, what is not named stays. All of it is taken or nothing.
 */
export async function changeConfig(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const configuration = configurationOf(context)
  const { multi_gpu: section } = await readJson(context, request, configRequest)
  const settings = flattened(section ?? {}, prefix)
  if (settings.length === 0) {
    throw new DroverError(
      'invalid_request',
      'multi_gpu is required: the settings to change, such as {"multi_gpu": {"strategy": "tensor"}}',
    )
  }
  const before = ownSettings(configuration.report())
  const after = configuration.change(settings)
  const changed = ownSettings(after).flatMap(({ key, value }) => {
    const was = before.find((one) => one.key === key)?.value
    return JSON.stringify(was) === JSON.stringify(value) ? [] : [{ key, from: was, to: value }]
  })
  return sendJson(reply, JSON.stringify({ changed, ...configReport(after) }))
}

/** A value of the section as it was written; undefined where nobody can be asked. */
export function configured({ configuration }: Pick<ApiContext, 'configuration'>, name: string): unknown {
  return configuration?.report().settings.find(({ key }) => key === prefix + name)?.value
}

/** Whether a switch of the section is on; on too where nobody can be asked. */
export function isOn(context: Pick<ApiContext, 'configuration'>, name: string): boolean {
  return typed(configured(context, name)) !== false
}

function ownSettings({ settings }: ConfigurationReport) {
  return settings.filter(({ key }) => key.startsWith(prefix))
}

function configReport(report: ConfigurationReport) {
  const settings = ownSettings(report)
  const section: Section = {}
  for (const { key, value } of settings) put(section, key.slice(prefix.length).split('.'), value)
  return {
    multi_gpu: section,
    from: Object.fromEntries(settings.map(({ key, from }) => [key.slice(prefix.length), from])),
    ...(report.file !== undefined && { file: report.file }),
    ...(report.refused && { refused: report.refused }),
  }
}

function put(section: Section, [head = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    // Nothing stands for what decides itself.
    section[head] = value === undefined ? null : typed(value)
    return
  }
  section[head] ??= {}
  put(section[head] as Section, rest, value)
}

/** Defaults and variables are written as text: JSON has the switches and numbers that they mean. */
function typed(value: unknown): unknown {
  if (value === 'true' || value === 'false') return value === 'true'
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value
}

function flattened(section: Section, before: string): { key: string; value: unknown }[] {
  return Object.entries(section).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? flattened(value as Section, `${before}${name}.`)
      : [{ key: before + name, value }],
  )
}
