// The operator's own log configuration, from `--log-config` or, as in TorchServe, from `vmargs=-Dlog4j.configurationFile=file:///…`.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type LogPlan, parseLogPlan, type Settings } from '../config/index.ts';

export interface ReadLogPlan {
  /** Undefined: none is configured, or it cannot be used; lines go where they always go. */
  readonly plan: LogPlan | undefined;
  readonly notices: readonly string[];
}

/** Never stops a start: TorchServe falls back to its own log configuration, too. */
export function readLogPlan(settings: Settings, env: Readonly<Record<string, string | undefined>>): ReadLogPlan {
  const file = settings.log.configFile ?? namedInVmargs(settings);
  if (file === undefined) return { plan: undefined, notices: [] };
  const unusable = (why: string): ReadLogPlan => ({
    plan: undefined,
    notices: [`The log configuration ${file} is not used: ${why}. The usual log files are written instead.`],
  });
  if (/\.(properties|ya?ml|jsn|json)$/i.test(file)) return unusable('only XML is read');
  try {
    const plan = parseLogPlan(readFileSync(file, 'utf8'), { env, cwd: settings.server.cwd });
    return { plan, notices: ignoredNotice(file, plan) };
  } catch (error) {
    return unusable(error instanceof Error ? error.message : String(error));
  }
}

/** More would hide the rest of the start. */
const MAX_SHOWN = 20;

function ignoredNotice(file: string, { ignored }: LogPlan): readonly string[] {
  if (ignored.length === 0) return [];
  const rest = ignored.length > MAX_SHOWN ? ` and ${ignored.length - MAX_SHOWN} more` : '';
  return [`Without effect in ${file}: ${ignored.slice(0, MAX_SHOWN).join(', ')}${rest}.`];
}

function namedInVmargs(settings: Settings): string | undefined {
  const vmargs = settings.effective().find(({ key }) => key === 'vmargs')?.value ?? '';
  const named = /-Dlog4j2?\.configurationFile=([^\s,]+)/.exec(vmargs)?.[1];
  if (named === undefined) return undefined;
  return resolve(settings.server.cwd, named.replace(/^file:(?:\/\/)?/, ''));
}
