// The OpenAPI 3.0.1 documents that OPTIONS answers with (surface spec 2.11). Clients generate code from them.
import { operation, parameter, pathParameters, responses, type Operation } from './openapi-parts.ts';
import { BYTES_SCHEMA } from './openapi-schemas.ts';

const API_TITLE = 'TorchServe APIs';
const API_DESCRIPTION = 'TorchServe is a flexible and easy to use tool for serving deep learning models';

type Paths = Record<string, Record<string, Operation>>;

export function inferenceApi(version: string): object {
  return document(API_TITLE, version, {
    ...describePath(),
    '/ping': { get: operation('ping', 'Get TorchServe status.', [], responses([200, 500], 'status')) },
    '/v1/models/{model_name}:predict': { post: predict('predictions', ['model_name']) },
    '/v2/models/{model_name}/infer': { post: predict('predictions', ['model_name']) },
    '/predictions/{model_name}': { post: predict('predictions', ['model_name']) },
    '/predictions/{model_name}/{model_version}': {
      post: predict('version_predictions', ['model_name', 'model_version']),
    },
    ...deprecatedDescribePath(),
    ...metricsPath(),
  });
}

export function managementApi(version: string): object {
  return document(API_TITLE, version, {
    ...describePath(),
    '/models': {
      get: operation(
        'listModels',
        'List registered models in TorchServe.',
        [
          parameter('limit', 'query', 'integer', 'Maximum number of items to return, at most 100.', 100),
          parameter('next_page_token', 'query', 'string', 'The token of the page to return.'),
        ],
        responses([200, 500], 'list'),
      ),
      post: operation(
        'registerModel',
        'Register a new model in TorchServe.',
        REGISTER,
        responses(REGISTER_CODES, 'status'),
      ),
    },
    ...modelPaths(),
    ...deprecatedDescribePath(),
    ...metricsPath(),
  });
}

export function metricsApi(version: string): object {
  return document(API_TITLE, version, metricsPath());
}

/** `/prediction` without the s is what the reference writes. */
export function predictionApi(model: string): object {
  const post = (names: readonly string[]): { post: Operation } => ({
    post: predict(model, names, `A predict entry point for model: ${model}.`),
  });
  return document(`RESTful API for: ${model}`, '1.0.0', {
    [`/prediction/${model}`]: post([]),
    '/v1/models/{model_name}:predict': post(['model_name']),
    '/v2/models/{model_name}/infer': post(['model_name']),
  });
}

export function modelManagementApi(model: string, version: string): object {
  return document(`RESTful Management API for: ${model}`, version, modelPaths());
}

const PREDICT_CODES = [200, 404, 500, 503];
const REGISTER_CODES = [200, 202, 210, 400, 404, 409, 500];
const SCALE_CODES = [200, 202, 210, 400, 404, 500];
const UNREGISTER_CODES = [200, 202, 404, 408, 500];

const SYNCHRONOUS = parameter(
  'synchronous',
  'query',
  'boolean',
  'Whether the call waits until the workers are in the wanted state.',
  false,
);

const REGISTER = [
  {
    ...parameter(
      'url',
      'query',
      'string',
      'Model archive: a name in the model store, or a URL that allowed_urls permits.',
    ),
    required: true,
  },
  parameter('model_name', 'query', 'string', 'Name of the model. Defaults to the name in the archive.'),
  parameter('handler', 'query', 'string', 'Inference handler. Defaults to the handler in the archive.'),
  parameter('runtime', 'query', 'string', 'Runtime of the handler. Defaults to the runtime in the archive.'),
  parameter('batch_size', 'query', 'integer', 'Inference batch size.', 1),
  parameter('max_batch_delay', 'query', 'integer', 'Maximum delay for batch aggregation in milliseconds.', 100),
  parameter('response_timeout', 'query', 'integer', 'Maximum time for a response in seconds.', 120),
  parameter('startup_timeout', 'query', 'integer', 'Maximum time for a worker to start in seconds.', 120),
  parameter('initial_workers', 'query', 'integer', 'Number of workers to start.', 0),
  { ...SYNCHRONOUS, schema: { type: 'boolean', default: true } },
  parameter('s3_sse_kms', 'query', 'boolean', 'The archive is encrypted by S3 with a KMS key.', false),
];

const SCALE = [
  parameter('min_worker', 'query', 'integer', 'Minimum number of workers.', 1),
  parameter('max_worker', 'query', 'integer', 'Maximum number of workers.', 1),
  parameter('number_gpu', 'query', 'integer', 'Accepted and ignored.', 0),
  SYNCHRONOUS,
  parameter('timeout', 'query', 'integer', 'Accepted and ignored.', -1),
];

const UNREGISTER = [SYNCHRONOUS, parameter('timeout', 'query', 'integer', 'Accepted and ignored.', -1)];
const CUSTOMIZED = parameter(
  'customized',
  'query',
  'boolean',
  'Whether to ask the handler for its own description.',
  false,
);

function modelPaths(): Paths {
  const of = (names: readonly string[], prefix: string): Record<string, Operation> => {
    const path = pathParameters(names);
    return {
      get: operation(
        `${prefix}describeModel`,
        'Status of a model.',
        [...path, CUSTOMIZED],
        responses([200, 404, 500], 'description'),
      ),
      put: operation(
        `${prefix}setAutoScale`,
        'Set the number of workers of a model.',
        [...path, ...SCALE],
        responses(SCALE_CODES, 'status'),
      ),
      delete: operation(
        `${prefix}unregisterModel`,
        'Unregister a model.',
        [...path, ...UNREGISTER],
        responses(UNREGISTER_CODES, 'status'),
      ),
    };
  };
  const versioned = ['model_name', 'model_version'];
  return {
    '/models/{model_name}': of(['model_name'], ''),
    '/models/{model_name}/{model_version}': of(versioned, 'version_'),
    '/models/{model_name}/{model_version}/set-default': {
      put: operation(
        'setDefault',
        'Set the default version of a model.',
        pathParameters(versioned),
        responses([200, 404, 500], 'status'),
      ),
    },
  };
}

function predict(id: string, names: readonly string[], description = 'Predictions entry point.'): Operation {
  return {
    ...operation(id, description, pathParameters(names), responses(PREDICT_CODES, 'prediction')),
    requestBody: {
      description: 'Input of the model; its form depends on the handler.',
      content: { '*/*': { schema: BYTES_SCHEMA } },
      required: true,
    },
  };
}

function describePath(): Paths {
  return {
    '/': { options: operation('apiDescription', 'Get openapi description.', [], responses([200, 500], 'document')) },
  };
}

function deprecatedDescribePath(): Paths {
  const get = operation('api-description', 'Get openapi description.', [], responses([200, 500], 'document'));
  return { '/api-description': { get: { ...get, deprecated: true } } };
}

function metricsPath(): Paths {
  const names = {
    ...parameter('name[]', 'query', 'array', 'Names of the metrics to return.'),
    schema: { type: 'array', items: { type: 'string' } },
  };
  return {
    '/metrics': {
      get: operation(
        'metrics',
        'Get metrics in the Prometheus text format.',
        [names],
        responses([200, 500], 'metrics'),
      ),
    },
  };
}

function document(title: string, version: string, paths: Paths): object {
  const isApi = title === API_TITLE;
  return { openapi: '3.0.1', info: { title, ...(isApi && { description: API_DESCRIPTION }), version }, paths };
}
