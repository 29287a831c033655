import { z } from 'zod'
import { Failure, type AnswerSpec, type BodySpec, type Route, type RouteSpec } from './route.ts'

type Json = Record<string, unknown>

/** Schemas are described as they are sent, before defaults and transformations. */
const CONVERSION = { io: 'input', unrepresentable: 'any' } as const

/** The OpenAPI 3.1 document of the routes. Schemas that have an id become components. */
export function openApi(
  routes: readonly Route<never>[],
  about: { title: string; version: string; description: string },
): Json {
  const schemas = new Schemas()
  const paths: Record<string, Json> = {}
  schemas.reference(Failure)
  for (const { spec } of routes) {
    const operations = (paths[spec.path] ??= {})
    operations[spec.method.toLowerCase()] = operation(spec, schemas)
  }
  return schemas.resolve({
    openapi: '3.1.0',
    info: about,
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    paths,
  })
}

function operation(spec: RouteSpec, schemas: Schemas): Json {
  const parameters = [...parametersOf('path', spec.params, schemas), ...parametersOf('query', spec.query, schemas)]
  const answers = Object.entries(spec.answers).map(([status, answer]) => [status, response(answer, schemas)] as const)
  const failure = { description: 'Failure', content: { 'application/json': { schema: schemas.reference(Failure) } } }
  return {
    summary: spec.summary,
    operationId: operationId(spec),
    ...(spec.access === 'public' ? { security: [] } : { security: [{ token: [spec.access] }] }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(spec.body === undefined ? {} : { requestBody: requestBody(spec.body, schemas) }),
    responses: { ...Object.fromEntries(answers), '4XX': failure, '5XX': failure },
  }
}

function operationId({ method, path }: RouteSpec): string {
  return `${method.toLowerCase()}${path.replaceAll(/[^a-zA-Z0-9]+(\w|$)/g, (_all, next: string) => next.toUpperCase())}`
}

function parametersOf(place: 'path' | 'query', object: z.ZodObject | undefined, schemas: Schemas): Json[] {
  return Object.entries(object?.shape ?? {}).map(([name, schema]) => {
    const optional = (schema as z.ZodType).safeParse(undefined).success
    return { name, in: place, required: place === 'path' || !optional, schema: schemas.reference(schema as z.ZodType) }
  })
}

function requestBody(body: BodySpec, schemas: Schemas): Json {
  if (body.kind === 'bytes') {
    return { required: true, content: Object.fromEntries(body.types.map((type) => [type, {}])) }
  }
  const type = body.kind === 'json' ? 'application/json' : 'application/x-ndjson'
  return { required: true, content: { [type]: { schema: schemas.reference(body.schema) } } }
}

function response(answer: AnswerSpec, schemas: Schemas): Json {
  const description = 'Success'
  if (answer instanceof z.ZodType) {
    return { description, content: { 'application/json': { schema: schemas.reference(answer) } } }
  }
  if (answer.kind === 'empty-answer') return { description }
  if (answer.kind === 'text-answer') return { description, content: { [answer.type.split(';')[0] ?? '']: {} } }
  if (answer.kind === 'either-answer') {
    return {
      description,
      content: { 'application/json': { schema: schemas.reference(answer.schema) }, [answer.type]: {} },
    }
  }
  return { description, content: { 'application/x-ndjson': { schema: schemas.reference(answer.schema) } } }
}

/**
 * Collects schemas while the document is built, and converts them all at once: only then does zod refer from one to
 * another instead of repeating it. Schemas without an id get one for the time being, and stand in the document where they
 * are used in the end.
 */
class Schemas {
  private readonly collected = z.registry<{ id: string }>()
  private unnamed = 0

  reference(schema: z.ZodType): Json {
    this.collectNamed(schema)
    const id = z.globalRegistry.get(schema)?.id ?? this.collected.get(schema)?.id ?? `${UNNAMED}${this.unnamed++}`
    this.collected.add(schema, { id })
    return { $ref: componentUri(id) }
  }

  /** Registers the schemas inside this one that have an id. */
  private collectNamed(schema: z.ZodType): void {
    const override = ({ zodSchema }: { zodSchema: z.core.$ZodType }): void => {
      const id = z.globalRegistry.get(zodSchema)?.id
      if (id !== undefined) this.collected.add(zodSchema, { id })
    }
    z.toJSONSchema(schema, { ...CONVERSION, override })
  }

  resolve(document: Json): Json {
    const converted = z.toJSONSchema(this.collected, { ...CONVERSION, uri: componentUri }).schemas
    const components = Object.entries(converted).map(([id, schema]) => {
      const { $schema: _dialect, $id: _id, id: _name, ...bare } = schema as Json
      return [id, bare] as const
    })
    const unnamed = new Map(components.filter(([id]) => id.startsWith(UNNAMED)))
    const named = components.filter(([id]) => !id.startsWith(UNNAMED)).sort(([a], [b]) => (a < b ? -1 : 1))
    const whole = {
      ...document,
      components: { ...(document['components'] as Json), schemas: Object.fromEntries(named) },
    }
    return withoutReferences(whole, unnamed) as Json
  }
}

const UNNAMED = 'unnamed-'
const COMPONENTS = '#/components/schemas/'

function componentUri(id: string): string {
  return `${COMPONENTS}${id}`
}

/** The value with references to unnamed schemas replaced by those. */
function withoutReferences(value: unknown, unnamed: ReadonlyMap<string, Json>): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutReferences(item, unnamed))
  if (typeof value !== 'object' || value === null) return value
  const { $ref: reference, ...beside } = value as Json
  const target = typeof reference === 'string' ? unnamed.get(reference.slice(COMPONENTS.length)) : undefined
  if (target !== undefined) return withoutReferences({ ...target, ...beside }, unnamed)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutReferences(item, unnamed)]))
}
