// The management rows of TorchServe's own HTTP collection (surface spec 13.1) over REST: method and path, and the status.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { openPostmanStage, POSTMAN_ROWS, type PostmanRow, type PostmanStage } from '../support/postman-rows.ts';
import { behaviour } from './behaviour.ts';

describe('the management rows of the reference’s own collection', () => {
  let stage: PostmanStage;
  before(async () => {
    stage = await openPostmanStage();
  });
  after(() => stage?.[Symbol.asyncDispose]());

  /** Runs rows in order; every one that differs is told, not only the first. */
  async function run(rows: readonly PostmanRow[]): Promise<void> {
    const differing: string[] = [];
    for (const [method, path, expected] of rows) {
      const { status, text } = await stage.server.admin(
        path.replace('{files}', encodeURIComponent(stage.files)),
        method,
      );
      if (status !== expected) differing.push(`${method} ${path}: ${status} instead of ${expected}: ${text}`);
    }
    assert.deepEqual(differing, []);
  }

  behaviour('13.1', 'same', 'rows of registering, from the store and from a URL', () => run(POSTMAN_ROWS.registering));

  behaviour('13.1', 'same', 'rows of registering with parameters that are odd, missing or wrong', () =>
    run(POSTMAN_ROWS.oddRegistering),
  );

  behaviour('13.1', 'same', 'rows of scaling', () => run(POSTMAN_ROWS.scaling));

  behaviour('13.1', 'same', 'rows of describing and listing', () => run(POSTMAN_ROWS.describing));

  behaviour('13.1', 'same', 'rows of default versions', () => run(POSTMAN_ROWS.defaults));

  behaviour('13.1', 'same', 'rows of unregistering', () => run(POSTMAN_ROWS.unregistering));
});
