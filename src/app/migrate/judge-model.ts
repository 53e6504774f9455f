// What Davy will make of one model of a TorchServe model store. Pure: works on what was read, runs nothing.
import type { ArchiveDescription } from '../../archive/index.ts';
import type { Remark } from '../../config/index.ts';
import type { Finding } from '../../kernel/index.ts';
import { isDenied } from '../../policy/index.ts';

/** One model as it lies there. */
export interface ModelView {
  /** Name in the model store. */
  readonly name: string;
  /** Null: `failure` says why it cannot be described. */
  readonly description: ArchiveDescription | null;
  readonly failure: string | undefined;
  readonly findings: readonly Finding[];
  /** Text of every Python file by its name in the model. */
  readonly sources: ReadonlyMap<string, string>;
}

export interface ModelContext {
  /** Whether a module `ts.x.y` comes with Davy. */
  hasModule(name: string): boolean;
  readonly installsRequirements: boolean;
  /** Environment variables that workers get. */
  readonly workerEnv: ReadonlySet<string>;
}

/** At least one remark for every model. */
export function judgeModel(model: ModelView, context: ModelContext): readonly Remark[] {
  const { name, description, failure, findings } = model;
  const remarks: Remark[] = [];
  const change = (subject: string, message: string, ...write: string[]): void =>
    void remarks.push({ kind: 'change', where: name, subject, message, ...(write.length > 0 && { write }) });
  if (failure !== undefined) change('archive', failure);
  for (const finding of findings) {
    if (isDenied(finding.code)) change(finding.member, `${finding.code}: ${finding.message}`, finding.remedy);
  }
  if (description !== null) judgeDescription(description, context, change);
  for (const [file, text] of model.sources) judgeSource(file, text, context, change);
  if (remarks.length > 0) return remarks;
  return [{ kind: 'same', where: name, subject: description?.manifest.modelName ?? name, message: 'Loads unchanged.' }];
}

type Change = (subject: string, message: string, ...write: string[]) => void;

const ABSENT_ENGINES: Readonly<Record<string, string>> = {
  vllm_handler: 'vLLM',
  trt_llm_handler: 'TensorRT-LLM',
  dali_image_classifier: 'DALI',
};

function judgeDescription({ manifest, config }: ArchiveDescription, context: ModelContext, change: Change): void {
  const { requirementsFile, handler } = manifest;
  if (requirementsFile !== undefined && context.installsRequirements) {
    change(
      requirementsFile,
      'Installed only where every line is pinned by version and hash, as wheels, from the index of pip_index_url.',
      `pip-compile --generate-hashes -o ${requirementsFile} requirements.in`,
    );
  }
  const engine = handler === undefined ? undefined : ABSENT_ENGINES[handler];
  if (engine !== undefined) change(`handler ${handler}`, `Answers with an error: ${engine} is not supported yet.`);
  if (config?.parallelType || config?.parallelLevel) {
    change('parallelType', 'Models of several processes are not served yet: one worker is one process.');
  }
  if (config?.useVenv) {
    change(
      'useVenv',
      'No virtual environment is made: packages of a model are its own anyway; frameworks stay those of the interpreter.',
      'python=PATH',
    );
  }
}

const TS_IMPORT = /^[ \t]*(?:from[ \t]+(ts(?:\.\w+)*)[ \t]+import\b|import[ \t]+(ts(?:\.\w+)+))/gm;
const ENV_READ = /\b(?:os\.environ\.get|os\.getenv|getenv)\(\s*["'](\w+)["']|\bos\.environ\[\s*["'](\w+)["']\s*\]/g;
const NETWORK_MODULES = new Set([
  'requests',
  'httpx',
  'aiohttp',
  'boto3',
  'botocore',
  'socket',
  'huggingface_hub',
  'redis',
]);
const PLAIN_IMPORT = /^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w., \t]+))/gm;
/** `from_pretrained("bert-base-uncased")`: a name of a hub, not a path of the archive. */
const HUB_LOAD = /from_pretrained\(\s*["']([\w-]+(?:\/[\w.-]+)?)["']/g;

function judgeSource(file: string, text: string, context: ModelContext, change: Change): void {
  // Comments do not import; strings are kept, because names of variables are in them.
  const code = text.replace(/#[^\n]*/g, '');
  const absent = unique(code, TS_IMPORT).filter((module) => !context.hasModule(module));
  if (absent.length > 0) {
    change(
      file,
      `Imports ${absent.join(', ')}, which Davy’s ts package does not have.`,
      '(put what it needs into the archive)',
    );
  }
  const withheld = unique(code, ENV_READ).filter((name) => !context.workerEnv.has(name));
  if (withheld.length > 0) {
    change(
      file,
      'Reads environment variables that workers do not get unless they are listed.',
      `worker_env_allow=${withheld.join(',')}`,
    );
  }
  const modules = unique(code, PLAIN_IMPORT).flatMap((list) =>
    list.split(',').map((name) => name.trim().split(/[. \t]/)[0] ?? ''),
  );
  const online = [...new Set(modules.filter((name) => NETWORK_MODULES.has(name)))];
  if (/\burllib\.request\b/.test(code)) online.push('urllib.request');
  if (online.length > 0) {
    change(
      file,
      `Imports ${online.join(', ')}: workers have no network.`,
      '(put the files it fetches into the archive)',
    );
  }
  const hub = unique(code, HUB_LOAD);
  if (hub.length > 0) {
    change(
      file,
      `May download ${hub.join(', ')}: workers have no network.`,
      '(archive the files and load them from model_dir)',
    );
  }
}

function unique(text: string, pattern: RegExp): readonly string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, first, second]) => first ?? second ?? ''))];
}
