// The JSON that a model gets for an Open Inference Protocol request (surface spec 5.6).
import { Fault } from '../kernel/index.ts';
import type { InferRequest } from './infer-request.ts';
import { rawElements, typedElements } from './tensor-elements.ts';
import { Turns } from './turns.ts';

/**
 * `{"id","model_name","inputs":[{"name","shape","datatype","data"}]}`: what the kservev2 envelope reads. A message holds
 * millions of numbers, so other work gets its turn in between. Rejects with Fault `bad_request`, with
 * UnreadableMessage for contents that are no protobuf, and when `signal` aborts.
 */
export async function requestJson(request: InferRequest, signal: AbortSignal): Promise<Buffer> {
  const { id, modelName, inputs, rawInputContents } = request;
  if (rawInputContents.length > 0 && rawInputContents.length !== inputs.length) {
    throw new Fault('bad_request', 'raw_input_contents must have one entry for each input.');
  }
  for (const text of [id, modelName, ...inputs.map(({ name }) => name)]) {
    if (text.length > MAX_NAME_CHARS)
      throw new Fault('bad_request', `A name is longer than ${MAX_NAME_CHARS} characters.`);
  }
  const json = new SlicedText(signal);
  json.add(`{"id":${JSON.stringify(id)},"model_name":${JSON.stringify(modelName)},"inputs":[`);
  for (const [at, { name, shape, datatype, contents }] of inputs.entries()) {
    const raw = rawInputContents[at];
    json.add(`${at === 0 ? '' : ','}{"name":${JSON.stringify(name)},"shape":[${shape.join(',')}],`);
    json.add(`"datatype":${JSON.stringify(datatype)},"data":[`);
    if (raw === undefined) await json.addElements(typedElements(datatype, contents));
    else await json.addElements(rawElements(datatype, raw));
    json.add(']}');
  }
  json.add(']}');
  return json.whole();
}

const MAX_NAME_CHARS = 4096;

/** Text that is written slice by slice. */
class SlicedText {
  readonly #pieces: Buffer[] = [];
  readonly #signal: AbortSignal;
  #text = '';
  readonly #turns = new Turns();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(text: string): void {
    this.#text += text;
  }

  /** An undefined element has cost a step and adds nothing. */
  async addElements(elements: Iterable<string | undefined>): Promise<void> {
    let separator = '';
    for (const element of elements) {
      if (element !== undefined) {
        this.#text += separator + element;
        separator = ',';
      }
      if (!this.#turns.step()) continue;
      this.#flush();
      await this.#turns.next();
      this.#signal.throwIfAborted();
    }
  }

  whole(): Buffer {
    this.#flush();
    return this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
  }

  #flush(): void {
    this.#pieces.push(Buffer.from(this.#text));
    this.#text = '';
  }
}
