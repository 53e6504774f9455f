// The pieces OpenAPI documents are made of: parameters, operations, responses.
import {
  BYTES_SCHEMA,
  DESCRIPTION_SCHEMA,
  DOCUMENT_SCHEMA,
  ERROR_SCHEMA,
  LIST_SCHEMA,
  STATUS_SCHEMA,
  TEXT_SCHEMA,
} from './openapi-schemas.ts';

export interface Parameter {
  readonly in: 'query' | 'path';
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  readonly schema: object;
}

export interface Operation {
  readonly description: string;
  readonly operationId: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: object;
  readonly responses: Readonly<Record<string, object>>;
  readonly deprecated?: boolean;
}

type Kind = 'status' | 'list' | 'description' | 'prediction' | 'document' | 'metrics';

export function operation(
  operationId: string,
  description: string,
  parameters: readonly Parameter[],
  responses: Operation['responses'],
): Operation {
  return { description, operationId, parameters, responses };
}

export function parameter(
  name: string,
  place: Parameter['in'],
  type: string,
  description: string,
  defaultValue?: unknown,
): Parameter {
  const schema = { type, ...(defaultValue !== undefined && { default: defaultValue }) };
  return { in: place, name, description, required: place === 'path', schema };
}

export function pathParameters(names: readonly string[]): Parameter[] {
  const words: Record<string, string> = { model_name: 'Name of the model.', model_version: 'Version of the model.' };
  return names.map((name) => parameter(name, 'path', 'string', words[name] ?? name));
}

/** Codes below 300 answer with `kind`, the others with the error shape of surface spec 2.10. */
export function responses(codes: readonly number[], kind: Kind): Operation['responses'] {
  return Object.fromEntries(
    codes.map((code) => [
      String(code),
      code < 300
        ? { description: SUCCESS[code] ?? 'OK', content: CONTENT[kind] }
        : { description: FAILURE[code] ?? 'Error', content: { 'application/json': { schema: ERROR_SCHEMA } } },
    ]),
  );
}

const SUCCESS: Record<number, string> = {
  200: 'OK',
  202: 'Accepted: the change goes on in the background',
  210: 'Partial success',
};

const FAILURE: Record<number, string> = {
  400: 'Bad request',
  404: 'Model or version not found',
  408: 'Request timed out',
  409: 'Model is already registered',
  500: 'Internal server error',
  503: 'No worker is available to serve the request',
};

const CONTENT: Record<Kind, object> = {
  status: { 'application/json': { schema: STATUS_SCHEMA } },
  list: { 'application/json': { schema: LIST_SCHEMA } },
  description: { 'application/json': { schema: DESCRIPTION_SCHEMA } },
  prediction: { '*/*': { schema: BYTES_SCHEMA } },
  document: { 'application/json': { schema: DOCUMENT_SCHEMA } },
  metrics: { 'text/plain; version=0.0.4; charset=utf-8': { schema: TEXT_SCHEMA } },
};
