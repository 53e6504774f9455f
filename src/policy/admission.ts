// Which findings refuse a model, and which of those an operator may accept for models he names. Pure.
import { FINDINGS, type Finding, type FindingCode, type Severity } from '../kernel/index.ts';

export type AdmissionVerdict = 'allow' | 'deny';

/** From here on a finding refuses the model. */
const DENYING: ReadonlySet<Severity> = new Set(['medium', 'high', 'critical']);

/**
 * Findings about formats that can be served, but only on trust. What a broken or lying file provokes is not among
 * them, and neither is a pickle that asks for more than tensors: there is nothing left to vet then.
 */
export const RELAXABLE: ReadonlySet<FindingCode> = new Set<FindingCode>([
  'nested_archive',
  'onnx_custom_operator',
  'torch_exported_program',
  'torchscript_operator',
  'unsupported_model_format',
  'unrecognised_content',
  'executable_content',
  'template_injection',
]);

/** One line of the operator's policy: models whose name matches may carry these findings. */
export interface Relaxation {
  /** Model name; `*` stands for any run of characters. */
  readonly models: string;
  readonly allow: readonly FindingCode[];
}

/** Whether a finding of this code refuses a model unless it is accepted by name. */
export function isDenied(code: FindingCode): boolean {
  return DENYING.has(FINDINGS[code].severity);
}

/** Denies if any finding does that `accepted` does not cover. Codes that cannot be relaxed are never covered. */
export function admissionVerdict(
  findings: readonly Finding[],
  accepted: ReadonlySet<FindingCode> = new Set(),
): AdmissionVerdict {
  const isAccepted = (code: FindingCode): boolean => RELAXABLE.has(code) && accepted.has(code);
  return findings.some(({ code }) => isDenied(code) && !isAccepted(code)) ? 'deny' : 'allow';
}

/** What the operator accepts for one model. */
export function acceptedFor(modelName: string, relaxations: readonly Relaxation[]): ReadonlySet<FindingCode> {
  const matching = relaxations.filter(({ models }) => nameMatches(models, modelName));
  return new Set(matching.flatMap(({ allow }) => allow));
}

/** `*` stands for any run of characters. Compares part by part from the left, so that a pattern never backtracks. */
export function nameMatches(pattern: string, name: string): boolean {
  const parts = pattern.split('*');
  const [first = '', ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return pattern === name;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let at = first.length;
  const end = name.length - last.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
