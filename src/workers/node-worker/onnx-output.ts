// What the model computed becomes an answer: labels with probabilities, nested lists, or Open Inference outputs.
import type { AnswerForm } from './onnx-input.ts';
import type { OnnxSettings } from './onnx-config.ts';
import type { ItemResult } from './protocol.ts';
import { type TensorValue, elementCount, sliceRows, toNested } from './tensors.ts';

export interface AnswerContext {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly outputNames: readonly string[];
  readonly settings: OnnxSettings;
  /** From index_to_name.json; null without one. */
  readonly labels: Readonly<Record<string, string>> | null;
}

/** `outputs` belong to one request, in the order of `outputNames`; their first axis is its rows unless `isWhole`. */
export function formatAnswer(
  outputs: readonly TensorValue[],
  form: AnswerForm,
  rows: number,
  isWhole: boolean,
  context: AnswerContext,
): ItemResult {
  return json(form.kind === 'open-inference' ? openInference(outputs, form.id, context) : plain());

  function plain(): unknown {
    if (isWhole) return answerOf(outputs, context);
    const answers = Array.from({ length: rows }, (_, row) =>
      answerOf(
        outputs.map((output) => rowOf(output, row)),
        context,
      ),
    );
    if (form.kind === 'single') return answers[0];
    return form.kind === 'predictions' ? { predictions: answers } : answers;
  }
}

function rowOf(output: TensorValue, row: number): TensorValue {
  const { type, dims, data } = sliceRows(output, row, 1);
  return { type, dims: dims.slice(1), data };
}

function answerOf(outputs: readonly TensorValue[], context: AnswerContext): unknown {
  const [first] = outputs as [TensorValue];
  const { labels, outputNames, settings } = context;
  const isClassifier = labels !== null || settings.softmax || settings.topK !== undefined;
  if (isClassifier && first.dims.length === 1 && first.type.kind === 'float') {
    return classify(first.data as Float32Array, labels, settings);
  }
  if (outputs.length === 1) return toNested(first);
  return Object.fromEntries(outputs.map((output, index) => [outputNames[index]!, toNested(output)]));
}

/** TorchServe's image classifier answers like this: label to probability, best first (surface spec 9.4). */
function classify(scores: Float32Array, labels: AnswerContext['labels'], { softmax, topK }: OnnxSettings): unknown {
  const probabilities = softmax ? toProbabilities(scores) : scores;
  const order = Array.from(probabilities.keys()).toSorted((a, b) => probabilities[b]! - probabilities[a]!);
  // Text is built here because an object would put labels that are whole numbers in front.
  const members = order
    .slice(0, topK)
    .map((index) => `${JSON.stringify(labels?.[index] ?? String(index))}: ${JSON.stringify(probabilities[index])}`);
  return new JsonText(`{\n  ${members.join(',\n  ')}\n}`);
}

/** In double precision, so that the sum is one to within 1e-15. Plain loops: this runs for every answer. */
function toProbabilities(scores: Float32Array): Float64Array {
  let highest = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < scores.length; at++) highest = Math.max(highest, scores[at]!);
  const powers = new Float64Array(scores.length);
  let total = 0;
  for (let at = 0; at < scores.length; at++) total += powers[at] = Math.exp(scores[at]! - highest);
  for (let at = 0; at < scores.length; at++) powers[at]! /= total;
  return powers;
}

function openInference(outputs: readonly TensorValue[], id: string | undefined, context: AnswerContext): unknown {
  return {
    model_name: context.modelName,
    model_version: context.modelVersion,
    ...(id !== undefined && { id }),
    outputs: outputs.map((output, index) => ({
      name: context.outputNames[index]!,
      shape: output.dims,
      datatype: output.type.datatype,
      data: toNested({ ...output, dims: [elementCount(output.dims)] }),
    })),
  };
}

/** JSON that is already text, because an object cannot keep integer-like keys in order. */
class JsonText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

function json(value: unknown): ItemResult {
  return { body: [Buffer.from(render(value))], contentType: 'application/json' };
}

function render(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  if (Array.isArray(value) && value.some((element) => element instanceof JsonText))
    return `[${value.map(render).join(', ')}]`;
  if (isPredictions(value)) return `{"predictions": ${render(value.predictions)}}`;
  return JSON.stringify(value);
}

function isPredictions(value: unknown): value is { predictions: unknown } {
  return value !== null && typeof value === 'object' && 'predictions' in value;
}
