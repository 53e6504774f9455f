// Text that becomes behaviour: chat templates that reach for Python's internals, configurations that name code.
import type { RandomAccess } from '../random-access.ts';
import type { Report } from './report.ts';

const PYTHON_INTERNALS = /__(class|globals|subclasses|mro|bases|builtins|getattribute)__/;
const CONFIGURATION = /\.(json|jinja|jinja2|yaml|yml)$/i;
const REMOTE_CODE = /"auto_map"\s*:|trust_remote_code"?\s*[:=]\s*[Tt]rue/;
/** Tokenizer files reach tens of megabytes; templates and maps stand in much smaller ones. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;

export function noteTemplate(template: string, report: Report): void {
  const found = PYTHON_INTERNALS.exec(template);
  if (found !== null) report.add('template_injection', `The chat template uses ${found[0]}.`, found.index);
}

/** Configuration files that a handler may feed to a template engine or a model hub library. */
export async function inspectText(name: string, file: RandomAccess, report: Report): Promise<void> {
  if (!CONFIGURATION.test(name) || file.size > MAX_TEXT_BYTES) return;
  const text = Buffer.from(await file.read(0, file.size)).toString('utf8');
  if (REMOTE_CODE.test(text)) report.add('remote_code_reference', 'The file refers to Python code to import.');
  if (text.includes('chat_template') || /\.jinja2?$/i.test(name)) noteTemplate(text, report);
}
