// The management listener (surface spec 3, 6.5, 12.1).
import { Fault } from '../kernel/index.ts';
import { scoped, type Gate } from '../policy/index.ts';
import type { AuditEvent, Announcements, ManagementPlane, Outcome, TokenRotation } from '../serving/index.ts';
import { answerLater, type Answer } from './door.ts';
import type { Exchange } from './exchange.ts';
import { HandlerHeaders } from './input.ts';
import { managementApi, modelManagementApi } from './openapi.ts';
import type { HttpOptions } from './options.ts';
import { registerRequestOf } from './register-request.ts';
import type { Params, Route } from './route-table.ts';
import { descriptionRoutes, methodNotAllowed, needs } from './shared-routes.ts';

export interface ManagementPorts {
  readonly management: ManagementPlane;
  /** Undefined when token authorisation is off: `/token` does not exist then. */
  readonly tokens: TokenRotation | undefined;
  /** What holds the workers, and what was tried against it at start. Undefined: `/isolation` does not exist. */
  readonly isolation?: (() => object) | undefined;
}

/** `Authentication`, where every other refusal says `Authorization` (surface spec 6.5). */
const TOKEN_REFUSED = 'Token Authentication failed. Token either incorrect, expired, or not provided correctly';

export function managementRoutes(
  ports: ManagementPorts,
  gate: Gate,
  options: HttpOptions,
  announcements: Announcements,
): Route<Answer>[] {
  const { management, tokens, isolation } = ports;
  const handlerHeaders = new HandlerHeaders(options.sequenceStartHeader, gate.isEnforcing);

  const record = (
    exchange: Exchange,
    action: string,
    subject: string | undefined,
    detail: AuditEvent['detail'],
  ): void =>
    announcements.audit.publish({
      action,
      outcome: 'allowed',
      principal: exchange.principal.id,
      remote: exchange.source,
      subject,
      ...(detail && { detail }),
    });

  /** A change: one audit line whether it worked or not, then the outcome as `{"status": …}`. */
  const change = (action: string, work: (exchange: Exchange, params: Params) => Promise<Outcome>): Answer =>
    answerLater(async (exchange, params) => {
      const subject = [params.model, params.version].filter(Boolean).join('/') || undefined;
      try {
        const outcome = await work(exchange, params);
        record(exchange, action, subject, { status: outcome.status });
        const { message, warnings = [] } = outcome;
        exchange.json(outcome.status, { status: message, ...(warnings.length === 0 ? {} : { warnings }) });
      } catch (thrown) {
        record(exchange, action, subject, { code: thrown instanceof Fault ? thrown.code : 'internal' });
        throw thrown;
      }
    });

  const register: Answer = (exchange, params, body) => {
    requireModelApi(options);
    const request = registerRequestOf(exchange.contentType, exchange.query, body);
    // A key for some models may only register those: the name has to be in the request to be judged.
    gate.require(exchange.principal, scoped('manage', request.modelName || '*'));
    change('register', () => management.register(request))(
      exchange,
      { ...params, model: request.modelName ?? '' },
      body,
    );
  };

  const scale = change('scale', async ({ query }, { model, version }) => {
    const minWorkers = query.integer('min_worker') ?? 1;
    return management.scale({
      modelName: model,
      version: version ?? query.text('model_version'),
      minWorkers,
      maxWorkers: query.integer('max_worker') ?? minWorkers,
      isSynchronous: query.boolean('synchronous') ?? false,
    });
  });

  const describe = answerLater(async (exchange, { model, version }) => {
    const isCustomized = version !== 'all' && exchange.query.boolean('customized') === true;
    const descriptions = isCustomized
      ? await management.describeCustomized(model, version, handlerHeaders.from(exchange.request.rawHeaders))
      : await management.describe(model, version);
    exchange.json(200, descriptions);
  });

  const describeApi = answerLater(async (exchange, { model, version }) => {
    await management.describe(model, version);
    exchange.json(200, modelManagementApi(model, options.serverVersion));
  });

  const unregister = change('unregister', async (_exchange, { model, version }) => {
    requireModelApi(options);
    return management.unregister(model, version);
  });

  const rotate = answerLater(async (exchange) => {
    const type = exchange.query.text('type');
    if (tokens === undefined || (type !== 'management' && type !== 'inference')) {
      throw new Fault('unauthenticated', TOKEN_REFUSED);
    }
    try {
      await tokens.rotate(type);
    } catch (cause) {
      announcements.notice.publish({ level: 'error', message: `The ${type} key could not be rotated.`, cause });
      throw new Fault('unauthenticated', TOKEN_REFUSED, { cause });
    }
    record(exchange, 'rotate_key', type, undefined);
    // The new key is only to be found in the key file.
    exchange.text(200, 'application/json', '\n');
  });

  const routes: Route<Answer>[] = descriptionRoutes(() => managementApi(options.serverVersion));
  const add = (
    methods: string,
    pattern: string,
    operation: string,
    permission: Route<Answer>['permission'],
    answer: Answer,
  ): void => {
    routes.push({ methods: [methods], pattern, operation, permission, answer });
  };

  add(
    'GET',
    '/models',
    'list',
    () => scoped('read', '*'),
    (exchange) => {
      const { limit, pageToken } = pageOf(exchange);
      exchange.json(200, management.list(limit, pageToken));
    },
  );
  add('POST', '/models', 'register', needs('manage'), register);
  for (const pattern of ['/models/{model}', '/models/{model}/{version}']) {
    add('GET', pattern, 'describe', needs('read'), describe);
    add('PUT', pattern, 'scale', needs('manage'), scale);
    add('DELETE', pattern, 'unregister', needs('manage'), unregister);
    add('OPTIONS', pattern, 'describe_api', needs('read'), describeApi);
  }
  add(
    'PUT',
    '/models/{model}/{version}/set-default',
    'set_default',
    needs('manage'),
    change('set_default', (_exchange, { model, version }) => management.setDefault(model, version ?? '')),
  );
  add('GET', '/v1/models/{model}', 'ready', needs('read'), (exchange, { model }) =>
    exchange.json(200, { name: model, ready: management.hasWorkers(model) }),
  );
  if (isolation !== undefined) {
    add('GET', '/isolation', 'isolation', needs('read'), (exchange) => exchange.json(200, isolation()));
  }
  if (tokens !== undefined) routes.push(...tokenRoutes(rotate));
  routes.push(...workflowRoutes());
  return routes;
}

/** Any method rotates, as documented, except those that promise to change nothing and that no client rotates with. */
function tokenRoutes(rotate: Answer): Route<Answer>[] {
  const common = { pattern: '/token', operation: 'rotate_key', permission: needs('token'), refusal: TOKEN_REFUSED };
  return [
    { ...common, methods: ['HEAD', 'OPTIONS', 'TRACE'], answer: methodNotAllowed },
    { ...common, methods: 'any', answer: rotate },
  ];
}

/** Workflows as 0.12 treats them: none exists and none can be registered (surface spec 12.1). */
function workflowRoutes(): Route<Answer>[] {
  const absent: Answer = (_exchange, { model }) => {
    throw new Fault('workflow_not_found', `Workflow not found: ${model}`);
  };
  const refuse: Answer = () => {
    throw new Fault('bad_request', 'Registering new workflows is disabled.');
  };
  const list: Answer = (exchange) => exchange.json(200, { workflows: [] });
  const entry = (method: string, pattern: string, verb: 'read' | 'manage', answer: Answer): Route<Answer> => ({
    methods: [method],
    pattern,
    operation: 'workflow',
    permission: needs(verb),
    answer,
  });
  return [
    entry('GET', '/workflows', 'read', list),
    entry('POST', '/workflows', 'manage', refuse),
    entry('GET', '/workflows/{model}', 'read', absent),
    entry('POST', '/workflows/{model}', 'manage', refuse),
    entry('DELETE', '/workflows/{model}', 'manage', absent),
  ];
}

/** Looks exactly like any other wrong method (surface spec 3.7). */
function requireModelApi({ isModelApiEnabled }: HttpOptions): void {
  if (isModelApiEnabled) return;
  throw new Fault('model_api_disabled', 'Requested method is not allowed, please refer to API document.');
}

/** Surface spec 3.4. */
function pageOf({ query }: Exchange): { limit: number; pageToken: number } {
  const limit = query.integer('limit') ?? 100;
  const pageToken = query.integer('next_page_token') ?? 0;
  return { limit: limit < 0 || limit > 100 ? 100 : limit, pageToken: Math.max(pageToken, 0) };
}
