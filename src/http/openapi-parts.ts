// The pieces OpenAPI documents are made of: parameters, operations, responses.

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

type Kind = 'status' | 'models' | 'prediction' | 'document' | 'metrics';

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
        : { description: FAILURE[code] ?? 'Error', content: { 'application/json': { schema: ERROR } } },
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

const string = { type: 'string' };

const ERROR = {
  type: 'object',
  required: ['code', 'type', 'message'],
  properties: { code: { type: 'integer' }, type: string, message: string },
};

const CONTENT: Record<Kind, object> = {
  status: { 'application/json': { schema: { type: 'object', required: ['status'], properties: { status: string } } } },
  models: { 'application/json': { schema: { type: 'object' } } },
  prediction: { '*/*': { schema: { type: 'string', format: 'binary' } } },
  document: { 'application/json': { schema: { type: 'object', required: ['openapi', 'info', 'paths'] } } },
  metrics: { 'text/plain; version=0.0.4; charset=utf-8': { schema: string } },
};
