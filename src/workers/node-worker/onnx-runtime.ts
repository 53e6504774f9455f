// Runtime `onnx`: ONNX Runtime inside this process. Requests of a batch share one run where the model's shapes allow it.
import { readFile, readdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { InferenceSession, Tensor, TypedTensor } from 'onnxruntime-node';
import { batchFault } from './failures.ts';
import { type Signature, readSignature, toMetadata } from './model-signature.ts';
import { readOnnxSettings } from './onnx-config.ts';
import { type OnnxModel, type PreparedInput, prepareInput } from './onnx-input.ts';
import { type AnswerContext, formatAnswer } from './onnx-output.ts';
import type { Batch, ItemResult, LoadModel, LoadedModel, ModelRuntime } from './protocol.ts';
import { type TensorValue, sliceRows, stackRows } from './tensors.ts';

type TensorConstructor = new (type: string, data: TensorValue['data'], dims: readonly number[]) => Tensor;

/** Anything below an error would be a line in the log for each of thousands of graph nodes. */
const LOG_ERRORS_ONLY = 3;

interface Loaded extends OnnxModel {
  readonly session: InferenceSession;
  readonly Tensor: TensorConstructor;
  readonly answer: AnswerContext;
  readonly elementNames: readonly string[];
}

interface Job {
  readonly index: number;
  readonly input: PreparedInput;
}

export class OnnxRuntime implements ModelRuntime {
  #loaded: Loaded | undefined;
  /** False once a model has shown that its output's first axis is not its input's. */
  #keepsRows = true;

  async load(model: LoadModel): Promise<LoadedModel> {
    const { InferenceSession: Session, Tensor } = await importOnnxRuntime();
    const session = await Session.create(await modelPath(model), {
      intraOpNumThreads: model.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: LOG_ERRORS_ONLY,
    });
    const signature = readSignature(session.inputMetadata, session.outputMetadata);
    const settings = readOnnxSettings(model.config, signature, model.limitMaxImagePixels);
    const outputNames = signature.outputs.map(({ name }) => name);
    const labels = await readLabels(model.dir);
    this.#loaded = {
      session,
      Tensor: Tensor as unknown as TensorConstructor,
      signature,
      settings,
      elementNames: session.inputMetadata.map((input) => (input.isTensor ? input.type : '')),
      answer: { modelName: model.name, modelVersion: model.version, outputNames, settings, labels },
    };
    return { inputs: signature.inputs.map(toMetadata), outputs: signature.outputs.map(toMetadata) };
  }

  async run({ operation, requests }: Batch): Promise<readonly ItemResult[]> {
    const loaded = this.#loaded!;
    if (operation === 'describe') return requests.map(() => describe(loaded.signature));
    if (operation === 'explain') return requests.map(() => ({ body: [], error: [501, 'This model explains nothing'] }));

    const results: ItemResult[] = [];
    const jobs: Job[] = [];
    for (const [index, request] of requests.entries()) {
      try {
        jobs.push({ index, input: prepareInput(request, loaded) });
      } catch (error) {
        results[index] = failed(error);
      }
    }
    for (const group of this.#groups(jobs)) {
      for (const [job, result] of await this.#runGroup(group)) results[job.index] = result;
    }
    return results;
  }

  /** Jobs whose tensors agree in everything but the number of rows. */
  #groups(jobs: readonly Job[]): Job[][] {
    if (jobs.length < 2) return jobs.length === 0 ? [] : [[...jobs]];
    if (this.#loaded!.signature.batching !== 'stack' || !this.#keepsRows) return jobs.map((job) => [job]);
    const shapeOf = ({ input }: Job): string => input.tensors.map(({ dims }) => dims.slice(1).join('x')).join();
    return [...Map.groupBy(jobs, shapeOf).values()];
  }

  /** When several jobs fail together, each is tried alone, so that only the one at fault fails. */
  async #runGroup(group: readonly Job[]): Promise<[Job, ItemResult][]> {
    try {
      const results = await this.#runTogether(group);
      return group.map((job, at) => [job, results[at]!]);
    } catch (error) {
      if (group.length === 1) return [[group[0]!, failed(error)]];
      const alone: [Job, ItemResult][] = [];
      for (const job of group) alone.push(...(await this.#runGroup([job])));
      return alone;
    }
  }

  async #runTogether(group: readonly Job[]): Promise<ItemResult[]> {
    const { signature, answer } = this.#loaded!;
    const rows = group.reduce((sum, { input }) => sum + input.rows, 0);
    const inputs = signature.inputs.map((_, port) => stackRows(group.map(({ input }) => input.tensors[port]!)));
    const outputs =
      signature.batching === 'single' ? await this.#runEachRow(inputs, rows) : await this.#execute(inputs);
    const isRowwise = signature.batching !== 'whole' && outputs.every(({ dims }) => dims[0] === rows);
    if (!isRowwise && group.length > 1) {
      this.#keepsRows = false;
      throw new Error('The output has another number of rows than the input.');
    }
    let from = 0;
    return group.map(({ input }) => {
      const own =
        isRowwise && group.length > 1 ? outputs.map((output) => sliceRows(output, from, input.rows)) : outputs;
      from += input.rows;
      return formatAnswer(own, input.form, input.rows, !isRowwise, answer);
    });
  }

  async #runEachRow(inputs: readonly TensorValue[], rows: number): Promise<TensorValue[]> {
    if (rows === 1) return this.#execute(inputs);
    const byRow: TensorValue[][] = [];
    for (let row = 0; row < rows; row++)
      byRow.push(await this.#execute(inputs.map((input) => sliceRows(input, row, 1))));
    return byRow[0]!.map((_, output) => stackRows(byRow.map((outputs) => outputs[output]!)));
  }

  async #execute(inputs: readonly TensorValue[]): Promise<TensorValue[]> {
    const { session, signature, elementNames, Tensor } = this.#loaded!;
    const feeds: Record<string, Tensor> = {};
    for (const [at, { name }] of signature.inputs.entries()) {
      feeds[name] = new Tensor(elementNames[at]!, inputs[at]!.data, inputs[at]!.dims);
    }
    const fetched = await session.run(feeds);
    return signature.outputs.map(({ name, type }) => {
      const tensor = fetched[name] as TypedTensor<'float32'>;
      return { type, dims: tensor.dims, data: tensor.data as TensorValue['data'] };
    });
  }
}

/** ONNX Runtime reports usage to its vendor unless this is set before its library is loaded. */
async function importOnnxRuntime(): Promise<typeof import('onnxruntime-node')> {
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    throw new Error('The package onnxruntime-node is not installed; run `npm ci` without --omit=optional.', { cause });
  }
}

/** The manifest's serialized file, or the only .onnx file of the archive. */
async function modelPath({ dir, manifest }: LoadModel): Promise<string> {
  const named = (manifest?.['model'] as Record<string, unknown> | undefined)?.['serializedFile'];
  if (typeof named === 'string') {
    const path = resolve(dir, named);
    if (relative(dir, path).startsWith('..')) throw new Error(`Model file ${named} lies outside the archive.`);
    return path;
  }
  const found = (await readdir(dir)).filter((name) => name.endsWith('.onnx'));
  if (found.length !== 1) throw new Error(`Expected one .onnx file in the archive, found ${found.length}.`);
  return join(dir, found[0]!);
}

/** index_to_name.json: `{"0": "label"}`, or lists of which the last element counts (surface spec 9.4). */
async function readLabels(dir: string): Promise<Record<string, string> | null> {
  const text = await readFile(join(dir, 'index_to_name.json'), 'utf8').catch(() => null);
  if (text === null) return null;
  const parsed: unknown = JSON.parse(text);
  if (parsed === null || typeof parsed !== 'object') throw new Error('index_to_name.json must hold an object.');
  const names = (parsed as Record<string, unknown>)['object_type_names'] ?? parsed;
  return Object.fromEntries(
    Object.entries(names as Record<string, unknown>).map(([index, label]) => [
      index,
      String(Array.isArray(label) ? label.at(-1) : label),
    ]),
  );
}

function describe(signature: Signature): ItemResult {
  const text = JSON.stringify({ inputs: signature.inputs.map(toMetadata), outputs: signature.outputs.map(toMetadata) });
  return { body: [Buffer.from(text)], contentType: 'application/json' };
}

function failed(error: unknown): ItemResult {
  const { code, message } = batchFault(error);
  if (code >= 500) console.error(error);
  return { body: [], error: [code, message] };
}
