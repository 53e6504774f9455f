// Prometheus' text format 0.0.4, read strictly: what the format's document does not allow throws.
import assert from 'node:assert/strict';

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = String.raw`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"`;
const SAMPLE = new RegExp(String.raw`^(${NAME})(?:\{((?:${LABEL},)*(?:${LABEL})?)\})? (\S+)( -?\d+)?$`);
const FLOAT = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN)$/;
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];

/** Each family by its name: HELP, TYPE, then its samples in one piece, no series twice. Throws an AssertionError. */
export function parsePrometheusText(text: string): ReadonlyMap<string, Family> {
  assert.ok(text === '' || text.endsWith('\n'), 'the last line does not end');
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const series = new Set<string>();
  let current = '';
  for (const line of text.split('\n').slice(0, -1)) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line);
    if (comment !== null) {
      const [, kind, name = '', rest = ''] = comment;
      if (kind === 'HELP') {
        assert.ok(!families.has(name), `${name} comes twice`);
        families.set(name, { type: '', help: rest, samples: [] });
        current = name;
      } else {
        const family = families.get(name);
        assert.ok(family !== undefined && name === current && family.type === '', `misplaced: ${line}`);
        assert.ok(TYPES.includes(rest) && family.samples.length === 0, line);
        family.type = rest;
      }
      continue;
    }
    const sample = parseSample(line);
    const family = families.get(current);
    assert.ok(family !== undefined && belongs(sample.name, current, family.type), `misplaced: ${line}`);
    const id = `${sample.name} ${JSON.stringify([...sample.labels].toSorted())}`;
    assert.ok(!series.has(id), `twice: ${line}`);
    series.add(id);
    assert.ok(family.type !== 'counter' || sample.value >= 0, line);
    family.samples.push(sample);
  }
  for (const [name, family] of families) {
    assert.ok(family.type !== '', `${name} has no type`);
    if (family.type === 'histogram') checkHistogram(name, family.samples);
  }
  return families;
}

function parseSample(line: string): Sample {
  const match = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`);
  const [, name = '', labels = ''] = match;
  // Behind the groups of the labels; the last group is the time, which may be absent.
  const value = match.at(-2) ?? '';
  assert.match(value, FLOAT, line);
  const pairs = [...labels.matchAll(new RegExp(LABEL, 'g'))].map(
    ([, key = '', text = '']) => [key, text.replaceAll(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))] as const,
  );
  const found = new Map(pairs);
  assert.equal(found.size, pairs.length, `a label comes twice: ${line}`);
  return { name, labels: found, value: Number(value.replace('Inf', 'Infinity')) };
}

function belongs(sample: string, family: string, type: string): boolean {
  return type === 'histogram'
    ? ['_bucket', '_sum', '_count'].some((end) => sample === family + end)
    : sample === family;
}

/** Buckets of each label set are ascending and cumulative, and the last one, +Inf, is the count. */
function checkHistogram(name: string, samples: readonly Sample[]): void {
  const sets = Map.groupBy(samples, ({ labels }) => JSON.stringify([...labels].filter(([key]) => key !== 'le')));
  for (const [set, members] of sets) {
    const buckets = members.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => Number(labels.get('le')?.replace('Inf', 'Infinity')));
    assert.deepEqual(
      bounds,
      bounds.toSorted((a, b) => a - b),
      `${name} ${set}`,
    );
    assert.equal(bounds.at(-1), Infinity, `${name} ${set}`);
    const counts = buckets.map(({ value }) => value);
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => a - b),
      `${name} ${set}`,
    );
    assert.equal(members.find((sample) => sample.name === `${name}_count`)?.value, counts.at(-1), `${name} ${set}`);
    assert.ok(
      members.some((sample) => sample.name === `${name}_sum`),
      `${name} ${set}`,
    );
  }
}
