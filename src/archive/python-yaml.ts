// YAML as TorchServe's two readers, SnakeYAML and PyYAML's safe_load, understand it: version 1.1, where `yes` and `off` are
// booleans, `010` is octal, `1e-5` is text, and `<<` merges maps.
import type { ScalarTag, Tags } from 'yaml';

const PREFIX = 'tag:yaml.org,2002:';
const BOOL = `${PREFIX}bool`;
/** What JSON cannot carry to the worker: left as the text, or the map, that it is written as. */
const NOT_CARRIED = new Set(['timestamp', 'binary', 'set', 'omap', 'pairs'].map((name) => PREFIX + name));

const TRUE = /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const FALSE = /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/;
/** An exponent counts only behind a dot and with its sign. */
const EXPONENT = /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)[eE][-+][0-9]+$/;

/** For the `customTags` of the yaml package's `version: '1.1'`. Its own booleans include the letters y and n. */
export function pythonTags(tags: Tags): Tags {
  const kept = tags.flatMap((tag): Tags => {
    if (typeof tag === 'string' || NOT_CARRIED.has(tag.tag) || tag.tag === BOOL) return [];
    return 'format' in tag && tag.format === 'EXP' ? [{ ...(tag as ScalarTag), test: EXPONENT }] : [tag];
  });
  const booleans: readonly ScalarTag[] = [
    { tag: BOOL, default: true, test: TRUE, resolve: () => true },
    { tag: BOOL, default: true, test: FALSE, resolve: () => false },
  ];
  return [...kept, ...booleans];
}
