// The JSON that the server itself answers with, as OpenAPI schemas (surface spec 2.10, 2.11, 3.3, 3.4).

const STRING = { type: 'string' };
const INTEGER = { type: 'integer' };
const BOOLEAN = { type: 'boolean' };

export const BYTES_SCHEMA = { type: 'string', format: 'binary' };
export const TEXT_SCHEMA = STRING;
export const STATUS_SCHEMA = object({ status: { ...STRING, description: 'What happened, or is happening.' } });

export const ERROR_SCHEMA = object({
  code: { ...INTEGER, description: 'The HTTP status.' },
  type: { ...STRING, description: 'Kind of failure.' },
  message: { ...STRING, description: 'What was wrong.' },
});

export const DOCUMENT_SCHEMA = object({ openapi: STRING, info: { type: 'object' }, paths: { type: 'object' } });

export const LIST_SCHEMA = {
  ...object({
    nextPageToken: { ...STRING, description: 'next_page_token of the next page; absent on the last.' },
    models: array(
      object({
        modelName: { ...STRING, description: 'Name of the model.' },
        modelUrl: { ...STRING, description: 'The url that its default version was registered with.' },
      }),
    ),
  }),
  required: ['models'],
};

const WORKER_SCHEMA = object({
  id: STRING,
  startTime: { ...STRING, description: 'When the worker was started.' },
  status: { ...STRING, enum: ['READY', 'LOADING', 'UNLOADING'] },
  memoryUsage: { ...INTEGER, description: 'Resident memory in bytes.' },
  pid: { ...INTEGER, description: '-1 until it is known.' },
  gpu: { ...BOOLEAN, description: 'Whether the worker has a GPU.' },
  gpuUsage: STRING,
});

/** One element for each version that was asked for. */
export const DESCRIPTION_SCHEMA = array({
  ...object({
    modelName: STRING,
    modelVersion: STRING,
    modelUrl: { ...STRING, description: 'The url that the version was registered with.' },
    runtime: STRING,
    minWorkers: INTEGER,
    maxWorkers: INTEGER,
    batchSize: INTEGER,
    maxBatchDelay: { ...INTEGER, description: 'Milliseconds.' },
    responseTimeout: { ...INTEGER, description: 'Seconds.' },
    startupTimeout: { ...INTEGER, description: 'Seconds.' },
    maxRetryTimeoutInSec: INTEGER,
    clientTimeoutInMills: INTEGER,
    parallelType: { ...STRING, enum: ['', 'pp', 'tp', 'pptp', 'custom'] },
    parallelLevel: INTEGER,
    deviceType: { ...STRING, enum: ['cpu', 'gpu'] },
    deviceIds: array(INTEGER),
    continuousBatching: BOOLEAN,
    useJobTicket: BOOLEAN,
    useVenv: BOOLEAN,
    stateful: { ...BOOLEAN, description: 'Whether requests are batched by sequence.' },
    sequenceMaxIdleMSec: INTEGER,
    sequenceTimeoutMSec: INTEGER,
    maxNumSequence: INTEGER,
    maxSequenceJobQueueSize: INTEGER,
    loadedAtStartup: BOOLEAN,
    workers: array(WORKER_SCHEMA),
    jobQueueStatus: object({ remainingCapacity: INTEGER, pendingRequests: INTEGER }),
    customizedMetadata: { type: 'object', description: 'What the handler says of itself, when asked for.' },
  }),
  required: ['modelName', 'modelVersion', 'modelUrl', 'runtime', 'minWorkers', 'maxWorkers', 'batchSize', 'workers'],
});

/** Every member is required unless the caller says otherwise. */
function object(properties: Readonly<Record<string, object>>) {
  return { type: 'object', required: Object.keys(properties), properties };
}

function array(items: object) {
  return { type: 'array', items };
}
