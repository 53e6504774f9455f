import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { FINDINGS, makeFinding, type FindingCode } from '../kernel/index.ts';
import { acceptedFor, admissionVerdict, isDenied, RELAXABLE } from './admission.ts';

const CODES = Object.keys(FINDINGS) as FindingCode[];
const finding = (code: FindingCode) => makeFinding(code, 'because');

describe('the verdict', () => {
  test('allows a model without findings, and one with remarks only', () => {
    assert.equal(admissionVerdict([]), 'allow');
    assert.equal(admissionVerdict([finding('python_code'), finding('torchscript_code')]), 'allow');
  });

  test('denies on a single finding of medium severity or worse', () => {
    for (const code of CODES.filter(isDenied)) {
      assert.equal(admissionVerdict([finding('python_code'), finding(code)]), 'deny', code);
    }
  });

  test('can be relaxed for formats, never for a payload or a broken file', () => {
    for (const code of CODES.filter(isDenied)) {
      const expected = RELAXABLE.has(code) ? 'allow' : 'deny';
      assert.equal(admissionVerdict([finding(code)], new Set(CODES)), expected, code);
    }
    assert.equal(RELAXABLE.has('pickle_not_allowed'), false);
  });

  test('depends on the worst finding only', () => {
    const someCodes = fc.array(fc.constantFrom(...CODES));
    fc.assert(
      fc.property(someCodes, someCodes, (found, accepted) => {
        const each = found.map((code) => admissionVerdict([finding(code)], new Set(accepted)));
        const all = admissionVerdict(found.map(finding), new Set(accepted));
        assert.equal(all, each.includes('deny') ? 'deny' : 'allow');
      }),
      { numRuns: 200 },
    );
  });
});

describe('relaxations', () => {
  const rules = [
    { models: 'legacy-*', allow: ['nested_archive'] },
    { models: '*-v*-x', allow: ['onnx_custom_operator'] },
    { models: 'exact', allow: ['executable_content'] },
  ] as const;
  const accepted = (name: string): string[] => [...acceptedFor(name, rules)];

  test('apply to the models whose name matches', () => {
    assert.deepEqual(accepted('legacy-a'), ['nested_archive']);
    assert.deepEqual(accepted('legacy-v2-x'), ['nested_archive', 'onnx_custom_operator']);
    assert.deepEqual(accepted('exact'), ['executable_content']);
  });

  test('do not apply to others', () => {
    for (const name of ['legacy', 'exact2', 'xexact', '-v-', 'EXACT', '']) assert.deepEqual(accepted(name), [], name);
  });
});
