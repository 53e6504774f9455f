// Text that becomes behaviour: chat templates that reach for Python's internals, configurations that name code.
import type { RandomAccess } from '../random-access.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';

const PYTHON_INTERNALS = /__(class|globals|subclasses|mro|bases|builtins|getattribute)__/;
const CONFIGURATION = /\.(json|jinja|jinja2|yaml|yml)$/i;
const REMOTE_CODE = /"auto_map"\s*:|trust_remote_code"?\s*[:=]\s*[Tt]rue/;
/** Files whose templates are rendered; other configuration files are only searched where they are small. */
const TEMPLATED =
  /(^|\/)((tokenizer|processor|preprocessor)_config\.json|(chat_template|processor)\.\w+|[^/]*\.jinja2?)$/i;
/** Vocabularies reach tens of megabytes; templates and maps stand in much smaller files. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;
/** More than any real one, little enough for one string. */
const MAX_TEMPLATED_BYTES = 64 * 1024 * 1024;
/**
 * The same letter in JSON, YAML and Jinja strings, and in one inside the other. Only from the first of several backslashes:
 * a file full of them would be read again from each.
 */
const ESCAPE = /(?<!\\)\\+(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([0-7]{1,3})|N\{LOW LINE\})/gi;

export function noteTemplate(template: string, report: Report): void {
  const found = PYTHON_INTERNALS.exec(unescaped(template));
  if (found !== null) report.add('template_injection', `The chat template uses ${found[0]}.`, found.index);
}

/** Configuration files that a handler may feed to a template engine or a model hub library. */
export async function inspectText(name: string, file: RandomAccess, report: Report): Promise<void> {
  if (!CONFIGURATION.test(name)) return;
  const isTemplated = TEMPLATED.test(name);
  if (isTemplated && file.size > MAX_TEMPLATED_BYTES) throw new Refusal('limit_exceeded', 'No template is this long.');
  if (!isTemplated && file.size > MAX_TEXT_BYTES) return;
  const text = unescaped(Buffer.from(await file.read(0, file.size)).toString('utf8'));
  if (REMOTE_CODE.test(text)) report.add('remote_code_reference', 'The file refers to Python code to import.');
  if (text.includes('chat_template') || isTemplated) noteTemplate(text, report);
}

function unescaped(text: string): string {
  return text.replace(ESCAPE, (whole, two?: string, four?: string, eight?: string, octal?: string) => {
    const hex = two ?? four ?? eight;
    if (hex === undefined) return octal === undefined ? '_' : String.fromCodePoint(Number.parseInt(octal, 8));
    const code = Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
