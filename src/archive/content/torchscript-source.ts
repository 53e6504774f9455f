// What TorchScript source and bytecode may call. Torch compiles such text when it loads the archive, and runs what it names.
//
// Operators are reached through the names `torch`, `ops` and `__torch__`, but not only in the spelling that torch itself
// writes: `t = torch; t.from_file(…)`, `getattr(torch, 'save')`, `torch.autograd.save`, comments and line ends between the
// parts all compile. So the text is taken apart as torch's lexer does, and those names may only begin a whole, plain chain.
import { Refusal } from './refusal.ts';

/** `ops.<namespace>.<name>`: namespaces that ship with torch and torchvision, compute only. */
const OPERATOR_NAMESPACES = new Set(
  'aten prim prims quantized _quantized quantized_decomposed prepacked mkldnn mkldnn_prepacked onednn sparse torchvision'.split(
    ' ',
  ),
);
/** Custom classes run their own C++ state functions when loaded. */
const CLASS_NAMESPACES = new Set(['quantized', 'rnn', 'sparse']);
/** Operators that read, write or map files, or call other machines. */
const REACHES_OUT = /^_?(from_file|save|load)|_(file|save|load)|^rpc_/;
/** Builtin modules have themselves under this name. */
const ITSELF = 'autograd';

/** Throws `torchscript_operator` for source that calls, or may call, what leaves torch's interpreter. */
export function checkSource(source: string, file: string): void {
  const tokens = tokensOf(source, file);
  const next = (): string => tokens.next().value ?? '';
  let previous = '';
  for (let token = next(); token !== '';) {
    if (previous === '.' || !NAMES_OF_INTEREST.has(token)) {
      [previous, token] = [token, next()];
      continue;
    }
    if (token.startsWith('rpc_')) throw refuse(`${file} calls ${token}, which reaches the network`);
    // `torch . add` as [torch, add].
    const chain = [token];
    let after = next();
    // The name of an attribute or a parameter has its type behind it, and is no use of the name.
    const isDeclared = after === ':';
    while (after === '.') {
      const part = next();
      if (/^\w/.test(part)) chain.push(part);
      after = next();
    }
    if (!isDeclared) checkChain(chain, file);
    [previous, token] = ['', after];
  }
}

/** Throws `torchscript_operator` for the bytecode of a mobile model, whose operators are the texts `namespace::name` in it. */
export function checkBytecode(bytes: Uint8Array, file: string): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  for (const [, namespace, name] of text.matchAll(/\b(\w+)::(\w+)/g))
    checkOperator([namespace as string, name as string], file);
  checkClassNames(text, file);
}

/** Throws `torchscript_operator` where a text of any kind names a custom class. */
export function checkClassNames(text: string, file: string): void {
  for (const [whole, namespace] of text.matchAll(/\btorch\.classes\.(\w+)/g))
    if (!CLASS_NAMESPACES.has(namespace as string)) throw refuse(`${file} uses the custom class ${whole}`);
}

const NAMES_OF_INTEREST = new Set(['torch', 'ops', '__torch__', 'rpc_sync', 'rpc_async', 'rpc_remote']);

/**
 * As torch's lexer reads it: comments go, but for those that are types; strings stay whole. Line ends and blanks mean nothing here.
 * Groups: what is skipped; words, and runs of other characters.
 */
const TOKEN =
  /(\s+|\\\r?\n|#(?!\s*type:)[^\n]*|#)|([A-Za-z_]\w*|[.:]|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[^\s\w"'\\#.:]+|[^"'\\#])|"""(?:\\[^]|(?!""")[^\\])*"""|'''(?:\\[^]|(?!''')[^\\])*'''|"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'/gy;

/** A string is one token, the quote: what it says is never run. */
function* tokensOf(source: string, file: string): Generator<string, undefined> {
  let end = 0;
  for (const { 0: whole, 1: skipped, 2: token, index } of source.matchAll(TOKEN)) {
    end = index + whole.length;
    if (token !== undefined) yield token;
    else if (skipped === undefined) yield '"';
  }
  if (end !== source.length) throw refuse(`${file} cannot be read as TorchScript at character ${end}`);
}

function checkChain(chain: readonly string[], file: string): void {
  const [root, ...path] = chain;
  if (root === 'ops') return checkOperator(path, file);
  const inside = root === '__torch__' ? path.slice(1) : path;
  if (path.length === 0 || (root === '__torch__' && path[0] === 'torch' && inside.length === 0))
    throw refuse(`${file} passes ${chain.join('.')} on, which hides what is called`);
  if (root === '__torch__' && path[0] !== 'torch') return;
  if (inside[0] === 'classes') {
    if (!CLASS_NAMESPACES.has(inside[1] ?? '')) throw refuse(`${file} uses the custom class ${chain.join('.')}`);
  } else if (root === 'torch') checkNames(path, chain, file);
}

function checkOperator(path: readonly string[], file: string): void {
  const [namespace, ...names] = path;
  if (namespace === undefined || names.length === 0)
    throw refuse(`${file} passes ops${path.map((part) => `.${part}`).join('')} on, which hides what is called`);
  if (!OPERATOR_NAMESPACES.has(namespace)) throw refuse(`${file} calls the custom operator ${path.join('::')}`);
  checkNames(names, path, file);
}

function checkNames(names: readonly string[], chain: readonly string[], file: string): void {
  if (names.some((name) => name === ITSELF || REACHES_OUT.test(name)))
    throw refuse(`${file} calls ${chain.join('.')}, which reaches files or hides what is called`);
}

function refuse(message: string): Refusal {
  return new Refusal('torchscript_operator', `${message}.`);
}
