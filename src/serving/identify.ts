// Under which name, version, runtime and handler an admitted model is registered.
import { Fault } from '../kernel/index.ts';
import { parseModelName, parseModelVersion } from '../model/index.ts';
import type { RegisterRequest } from './management.ts';
import type { AdmittedModel } from './ports.ts';

export interface Identity {
  readonly name: string;
  readonly version: string;
  readonly handler: string | undefined;
  readonly runtimeLabel: string;
}

const IDENTIFIER = /^[A-Za-z_]\w*$/;
const PYTHONS = new Set(['python', 'python3']);
const RUNTIMES = new Set([...PYTHONS, 'onnx', 'node']);
/** What TorchServe uses where neither manifest nor configuration names a handler. */
const LAST_RESORT_HANDLER = 'default_service_handler';

/**
 * Throws `bad_request` or `invalid_model`. The request may choose among what the archive holds, nothing else.
 * `configuredRuntime` tells the `runtimeType` that `models` of the configuration has for a name and version.
 */
export function identify(
  admitted: AdmittedModel,
  request: RegisterRequest,
  defaultHandler: string | undefined,
  configuredRuntime: (name: string, version: string) => string | undefined,
): Identity {
  if (request.runtime !== undefined && !RUNTIMES.has(request.runtime)) {
    throw new Fault('bad_request', `Invalid RuntimeType value: ${request.runtime}`);
  }
  const name = parseModelName(request.modelName || admitted.modelName || admitted.fallbackName);
  const version = parseModelVersion(admitted.modelVersion);
  return {
    name,
    version,
    handler: handlerOf(admitted, request.handler) ?? defaultHandler ?? LAST_RESORT_HANDLER,
    runtimeLabel: runtimeLabel(admitted, request.runtime ?? configuredRuntime(name, version)),
  };
}

/**
 * `handler=` on register must not reach code outside the verified archive: not a path, not a function of some other
 * module. A plain name that the archive lacks is let through, as TorchServe does: no worker will start with it.
 */
function handlerOf(admitted: AdmittedModel, requested: string | undefined): string | undefined {
  if (!requested) return admitted.handler;
  const [file = '', entryPoint, ...others] = requested.split(':');
  const inArchive = admitted.files.includes(file) || admitted.files.includes(`${file}.py`);
  const isFunction = others.length === 0 && (entryPoint === undefined || IDENTIFIER.test(entryPoint));
  if (isFunction && (inArchive || (entryPoint === undefined && IDENTIFIER.test(file)))) return requested;
  throw new Fault(
    'bad_request',
    'Invalid handler: it must name a file of the archive (x.py or x.py:function) or a built-in handler such as image_classifier.',
  );
}

/** A python archive may be asked to run with the other python; no archive changes to another kind of runtime. */
function runtimeLabel(admitted: AdmittedModel, requested: string | undefined): string {
  return requested !== undefined && admitted.runtime === 'python' && PYTHONS.has(requested)
    ? requested
    : admitted.runtimeLabel;
}
