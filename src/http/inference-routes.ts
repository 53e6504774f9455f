// The inference listener (surface spec 2.1, 2.9): TorchServe's own routes, SageMaker's, MMS's and KServe's.
import { Fault } from '../kernel/index.ts';
import { OPEN, scoped, type Gate } from '../policy/index.ts';
import type { DataPlane, Header, InputPart, ManagementPlane, Operation } from '../serving/index.ts';
import type { Body } from './body.ts';
import { answerLater, type Answer } from './door.ts';
import type { Exchange } from './exchange.ts';
import { HandlerHeaders, inputOf, queryInput } from './input.ts';
import { inferenceApi, predictionApi } from './openapi.ts';
import type { HttpOptions } from './options.ts';
import type { Route } from './route-table.ts';
import { descriptionRoutes, methodNotAllowed, needs, notFound } from './shared-routes.ts';

export interface InferencePorts {
  readonly dataPlane: DataPlane;
  /** Knows which models there are, for the documents about them. */
  readonly management: Pick<ManagementPlane, 'describe'>;
  /** Surface spec 2.2. */
  isHealthy(): boolean;
  /** The model of `/invocations` without a name: the one that was loaded at start, if it was the only one. */
  soleStartupModel(): string | undefined;
}

/** What a family of routes passes on beside the body (surface spec 2.4, 2.5). */
interface Style {
  readonly operation: Operation;
  /** `/predictions` and `/explanations` tell the handler the path behind the version. */
  readonly hasUrlPath: boolean;
  /** All but SageMaker's and MMS's routes tell it whether an explanation is wanted. */
  readonly hasExplain: boolean;
  /** SageMaker's and MMS's routes pass query parameters as values. */
  readonly hasQueryInput: boolean;
}

const PREDICTIONS: Style = { operation: 'predict', hasUrlPath: true, hasExplain: true, hasQueryInput: false };
const EXPLANATIONS: Style = { ...PREDICTIONS, operation: 'explain' };
const KSERVE_PREDICT: Style = { ...PREDICTIONS, hasUrlPath: false };
const KSERVE_EXPLAIN: Style = { ...EXPLANATIONS, hasUrlPath: false };
const LEGACY: Style = { operation: 'predict', hasUrlPath: false, hasExplain: false, hasQueryInput: true };

export function inferenceRoutes(ports: InferencePorts, gate: Gate, options: HttpOptions): Route<Answer>[] {
  const { dataPlane } = ports;
  const handlerHeaders = new HandlerHeaders(options.sequenceStartHeader, gate.isEnforcing);

  const submit = (
    exchange: Exchange,
    style: Style,
    model: string,
    version: string | undefined,
    rest: string,
    parts: readonly InputPart[],
  ): void => {
    const headers = handlerHeaders.from(exchange.request.rawHeaders);
    const sequenceId = lastValue(headers, options.sequenceIdHeader);
    if (style.hasUrlPath) headers.push(['url_path', rest]);
    if (style.hasExplain) headers.push(['explain', style.operation === 'explain' ? 'True' : 'False']);
    const { requestId } = exchange;
    const { operation } = style;
    exchange.submit(
      dataPlane,
      sequenceId === undefined
        ? { requestId, operation, model, version, headers, parts }
        : { requestId, operation, model, version, headers, parts, sequenceId },
    );
  };

  const run =
    (style: Style): Answer =>
    (exchange, { model, version, rest }, body) =>
      submit(exchange, style, model, version, rest, partsOf(exchange, style, body));

  const invoke: Answer = (exchange, _params, body) => {
    const parts = partsOf(exchange, LEGACY, body);
    const model = exchange.query.text('model_name') ?? fieldOf(parts, 'model_name') ?? ports.soleStartupModel();
    if (!model) throw new Fault('bad_request', 'Parameter model_name is required.');
    // The path names no model, so the key could not be asked about it before the body was read.
    gate.require(exchange.principal, scoped('infer', model));
    if (exchange.request.method === 'OPTIONS') return describe(exchange, { model, version: undefined, rest: '' }, body);
    submit(exchange, LEGACY, model, undefined, '', parts);
  };

  /** Any method runs a model; OPTIONS describes it instead (surface spec 2.1, 2.11). */
  const describe = answerLater(async (exchange, { model, version }) => {
    await ports.management.describe(model, version);
    exchange.json(200, predictionApi(model));
  });
  const runs = (pattern: string, answer: Answer, operation: string): Route<Answer>[] => [
    { methods: ['OPTIONS'], pattern, operation: 'describe_api', permission: needs('infer'), answer: describe },
    ...runsAnyMethod(pattern, answer, operation),
  ];

  const ping: Answer = (exchange) => {
    const isHealthy = ports.isHealthy();
    exchange.json(isHealthy ? 200 : 500, { status: isHealthy ? 'Healthy' : 'Unhealthy' });
  };
  const pingPermission = options.doesPingRequireToken ? needs('infer') : () => OPEN;

  return [
    ...descriptionRoutes(() => inferenceApi(options.serverVersion)),
    { methods: 'any', pattern: '/ping', operation: 'ping', permission: pingPermission, answer: ping },
    { methods: 'any', pattern: '/ping/{rest...}', operation: 'ping', permission: pingPermission, answer: ping },
    ...runs('/predictions/{model}', run(PREDICTIONS), 'predict'),
    ...runs('/predictions/{model}/{version}', run(PREDICTIONS), 'predict'),
    ...runs('/predictions/{model}/{version}/{rest...}', run(PREDICTIONS), 'predict'),
    ...runs('/explanations/{model}', run(EXPLANATIONS), 'explain'),
    ...runs('/explanations/{model}/{version}', run(EXPLANATIONS), 'explain'),
    ...runs('/explanations/{model}/{version}/{rest...}', run(EXPLANATIONS), 'explain'),
    ...runsAnyMethod('/invocations', invoke, 'predict'),
    ...runs('/models/{model}/invoke', run(LEGACY), 'predict'),
    ...runs('/v1/models/{model}:predict', run(KSERVE_PREDICT), 'predict'),
    ...runs('/v1/models/{model}:explain', run(KSERVE_EXPLAIN), 'explain'),
    ...runs('/v2/models/{model}/infer', run(KSERVE_PREDICT), 'predict'),
    ...runs('/v2/models/{model}/explain', run(KSERVE_EXPLAIN), 'explain'),
    ...(options.isOpenInferenceProtocolEnabled ? openInferenceRoutes(options.serverVersion, pingPermission) : []),
    {
      methods: 'any',
      pattern: '/wfpredict/{model}',
      operation: 'predict_workflow',
      permission: needs('infer'),
      ignoresCase: true,
      answer: (_exchange, { model }) => {
        throw new Fault('workflow_not_found', `Workflow not found: ${model}`);
      },
    },
    ...runs('/{model}/predict', run(LEGACY), 'predict'),
    ...runs('/{model}/{version}/predict', run(LEGACY), 'predict'),
  ];
}

function runsAnyMethod(pattern: string, answer: Answer, operation: string): Route<Answer>[] {
  const permission = needs('infer');
  return [
    // A trace echoes what it was sent, keys included; it runs nothing.
    { methods: ['TRACE'], pattern, operation, permission, answer: methodNotAllowed },
    { methods: 'any', pattern, operation, permission, answer },
  ];
}

/** Liveness and readiness are probes, like `/ping`: they answer without a key unless told otherwise (design 3). */
function openInferenceRoutes(serverVersion: string, probePermission: Route<Answer>['permission']): Route<Answer>[] {
  const says = (
    pattern: string,
    status: number,
    value: unknown,
    permission: Route<Answer>['permission'] = needs('infer'),
  ): Route<Answer> => ({
    methods: 'any',
    pattern,
    operation: 'open_inference',
    permission,
    answer: (exchange) => exchange.json(status, value),
  });
  return [
    says('/v2/health/ready', 200, { ready: true }, probePermission),
    says('/v2/health/live', 200, { live: true }, probePermission),
    // `extenstion` is how the reference spells it.
    says('/v2', 200, { name: 'Torchserve', version: serverVersion, extenstion: ['kserve', 'kubeflow'] }),
    says('/v2/models/{model}/versions/{rest...}', 501, { error: 'Model versioning is not yet supported.' }),
  ];
}

/** Paths under `/models` that are no invocation, on a listener without management (surface spec 2.1). */
export const MODELS_WITHOUT_MANAGEMENT: Route<Answer> = {
  methods: 'any',
  pattern: '/models/{model}/{version}',
  operation: 'unknown',
  permission: needs('infer'),
  answer: notFound,
};

function partsOf(exchange: Exchange, style: Style, body: Body): readonly InputPart[] {
  const parts = inputOf(exchange.contentType, body);
  // The body's values come last, so that they win over a parameter of the same name.
  return style.hasQueryInput && exchange.queryText !== '' ? [...queryInput(exchange.query), ...parts] : parts;
}

function fieldOf(parts: readonly InputPart[], name: string): string | undefined {
  const part = parts.findLast((candidate) => candidate.name === name);
  return part && Buffer.concat(part.chunks).toString('utf8');
}

/** Compared exactly as written (surface spec 2.8). */
function lastValue(headers: readonly Header[], name: string): string | undefined {
  return headers.findLast(([known]) => known === name)?.[1];
}
