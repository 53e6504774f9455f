import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOfHttp } from './status-of-fault.ts';

test("HTTP statuses become codes by TorchServe's table", () => {
  const table: readonly (readonly [number, number])[] = [
    [200, 0],
    [206, 0],
    [400, 3],
    [401, 16],
    [403, 7],
    [404, 5],
    [408, 9],
    [409, 10],
    [413, 8],
    [416, 11],
    [429, 8],
    [499, 1],
    [500, 13],
    [501, 12],
    [503, 14],
    [504, 4],
    [507, 13],
    [599, 13],
    [302, 2],
    [999, 2],
  ];
  for (const [status, code] of table) assert.equal(codeOfHttp(status), code, String(status));
});
