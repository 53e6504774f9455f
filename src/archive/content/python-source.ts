// A static summary of Python files: what they import and which calls deserve a look. Advisory: code is caged, not judged.
import type { RandomAccess } from '../random-access.ts';
import type { Report } from './report.ts';

const MAX_SOURCE_BYTES = 1024 * 1024;
const MAX_NAMES = 24;

const IMPORT = /^[ \t]*(?:import[ \t]+([\w. ,\t]+)|from[ \t]+([\w.]+)[ \t]+import\b)/gm;
const CALL =
  /\b(eval|exec|compile|__import__|os\.(?:system|popen|exec\w*|spawn\w*|remove|unlink|environ)|subprocess\.\w+|socket\.\w+|ctypes\.\w+|pickle\.loads?|marshal\.loads?|importlib\.\w+|urllib\.request\.\w+|requests\.\w+|torch\.load|torch\.ops\.load_library|shutil\.rmtree)\s*\(/g;
/** Strings and comments say nothing about calls. */
const QUIET = /"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|#[^\n]*/g;

export async function summarizePython(file: RandomAccess, report: Report): Promise<void> {
  const text = Buffer.from(await file.read(0, Math.min(file.size, MAX_SOURCE_BYTES))).toString('utf8');
  const source = text.replace(QUIET, '""');
  const imports = new Set<string>();
  for (const [, plain, from] of source.matchAll(IMPORT)) {
    for (const name of from === undefined ? (plain as string).split(',') : [from]) {
      imports.add(name.trim().split(/[ \t.]/, 1)[0] as string);
    }
  }
  const calls = new Set([...source.matchAll(CALL)].map(([, name]) => name as string));
  const list = (names: ReadonlySet<string>): string => [...names].slice(0, MAX_NAMES).join(', ') || 'nothing';
  report.add('python_code', `Python source; imports ${list(imports)}; notable calls: ${list(calls)}.`);
}

export async function summarizeRequirements(file: RandomAccess, report: Report): Promise<void> {
  const text = Buffer.from(await file.read(0, Math.min(file.size, MAX_SOURCE_BYTES))).toString('utf8');
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
  const loose = lines.filter((line) => line !== '' && !/==.*--hash=sha256:/.test(line) && !line.startsWith('--hash'));
  report.add('python_requirements', `Requirements; ${loose.length} of them without a pinned version and hash.`);
}
