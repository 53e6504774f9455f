// Runtime `node`: a handler module from the archive, with the same contract as a Python handler.
import { relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Handler, type InputRow, type OutputItem, PredictionError, isPredictionError } from './handler-api.ts';
import { BatchContext } from './handler-context.ts';
import { batchFault } from './failures.ts';
import { answerWithoutProc } from './without-proc.ts';
import type { Batch, ItemResult, LoadModel, LoadedModel, ModelRuntime, RunRequest } from './protocol.ts';

export class NodeRuntime implements ModelRuntime {
  #model: LoadModel | undefined;
  #handler: Handler | undefined;

  async load(model: LoadModel): Promise<LoadedModel> {
    answerWithoutProc();
    const handler = await importHandler(model);
    this.#model = model;
    this.#handler = handler;
    await handler.initialize?.(new BatchContext(model, undefined));
    return {};
  }

  async run(batch: Batch): Promise<readonly ItemResult[]> {
    const handler = this.#handler!;
    const context = new BatchContext(this.#model!, batch);
    if (batch.operation === 'describe') {
      const description = (await handler.describe?.(context)) ?? null;
      return batch.requests.map((_, index) => context.result(index, description));
    }
    const operation = batch.operation === 'explain' ? handler.explain : handler.handle;
    if (operation === undefined)
      return batch.requests.map(() => ({ body: [], error: [501, 'This model explains nothing'] }));
    const rows = batch.requests.map((request) => toRow(request, this.#model!.decodeInputRequest));
    const outputs: unknown = await operation.call(handler, rows, context);
    if (!Array.isArray(outputs)) throw new PredictionError('Invalid model predict output', 503);
    if (outputs.length !== rows.length) throw new PredictionError('number of batch response mismatched', 503);
    return outputs.map((output, index) => toResult(output as OutputItem, index, context));
  }
}

/** A row's own error is that row's answer; a value that has no JSON form fails its row, too. */
function toResult(output: OutputItem, index: number, context: BatchContext): ItemResult {
  if (output instanceof Error) {
    if (!isPredictionError(output)) console.error(output);
    const { code, message } = batchFault(output);
    return { body: [], error: [code, message] };
  }
  try {
    return context.result(index, output);
  } catch (error) {
    console.error(error);
    return { body: [], error: [503, 'Unsupported model output data type.'] };
  }
}

async function importHandler(model: LoadModel): Promise<Handler> {
  if (model.handler === null) throw new Error('The manifest names no handler.');
  const [file, entry] = model.handler.split(':') as [string, string | undefined];
  const path = resolve(model.dir, file);
  if (relative(model.dir, path).startsWith('..')) throw new Error(`Handler ${file} lies outside the archive.`);
  const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  return findHandler(module, entry, file);
}

/** A named export, `handle` itself, the default export, or the only class: in that order. */
function findHandler(module: Record<string, unknown>, entry: string | undefined, file: string): Handler {
  if (entry !== undefined) {
    const named = module[entry];
    if (isClass(named)) return instantiate(named);
    if (typeof named === 'function') return { ...asHooks(module), handle: named as Handler['handle'] };
    throw new Error(`${file} exports no function or class ${entry}.`);
  }
  if (typeof module['handle'] === 'function') return module as unknown as Handler;
  const candidates = module['default'] === undefined ? Object.values(module).filter(isClass) : [module['default']];
  if (candidates.length !== 1) throw new Error(`${file} exports neither handle() nor exactly one handler class.`);
  const [candidate] = candidates;
  const handler = isClass(candidate) ? instantiate(candidate) : (candidate as Handler);
  if (typeof handler?.handle !== 'function') throw new Error(`Expect handle method in the handler of ${file}.`);
  return handler;
}

function asHooks(module: Record<string, unknown>): Partial<Handler> {
  return Object.fromEntries(
    ['initialize', 'explain', 'describe']
      .filter((name) => typeof module[name] === 'function')
      .map((name) => [name, module[name]]),
  );
}

function isClass(value: unknown): value is new () => Handler {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

function instantiate(Class: new () => Handler): Handler {
  return new Class();
}

/** Surface spec 2.4: JSON parsed, text decoded, everything else bytes; what does not decode stays bytes. */
function toRow(request: RunRequest, decodes: boolean): InputRow {
  const row: Record<string, InputRow[string]> = Object.create(null);
  for (const { name, contentType, bytes } of request.parts) row[name] = decodes ? decode(contentType, bytes) : bytes;
  return row;
}

function decode(contentType: string | null, bytes: Buffer): InputRow[string] {
  if (contentType === 'application/json') {
    try {
      return JSON.parse(bytes.toString('utf8')) as InputRow[string];
    } catch {
      console.warn('Failed json decoding of input data. Forwarding encoded payload');
      return bytes;
    }
  }
  return contentType?.startsWith('text') ? bytes.toString('utf8') : bytes;
}
