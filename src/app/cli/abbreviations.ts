// Long flags cut short, as Python's argparse takes them: `torchserve --model-st models` (surface spec 7.1, 8.7).
import type { Command } from 'commander';

/**
 * The arguments with every unambiguous beginning of a long flag spelled out; `--model-st=x` too. Exact flags, ambiguous
 * and unknown ones stay as they are, and so does everything behind `--`.
 */
export function expandAbbreviations(command: Command, args: readonly string[]): readonly string[] {
  const options = command.options.map((option) => longFlagsOf(option.flags));
  options.push(['--help']);
  const end = args.indexOf('--');
  return args.map((arg, at) => (end >= 0 && at >= end ? arg : expand(arg, options)));
}

function expand(arg: string, options: readonly (readonly string[])[]): string {
  const [, name, rest = ''] = /^(--[^=]+)(=.*)?$/s.exec(arg) ?? [];
  if (name === undefined || options.some((flags) => flags.includes(name))) return arg;
  // Two spellings of one option do not make each other ambiguous.
  const matches = options.filter((flags) => flags.some((flag) => flag.startsWith(name)));
  const flag = matches.length === 1 ? matches[0]?.find((candidate) => candidate.startsWith(name)) : undefined;
  return flag === undefined ? arg : `${flag}${rest}`;
}

/** Commander has room for two spellings of an option, `--ncs, --no-config-snapshots`. */
const longFlagsOf = (flags: string): readonly string[] => flags.match(/--[\w-]+/g) ?? [];
