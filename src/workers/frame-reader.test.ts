import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { FrameReader } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';

interface Frame {
  readonly header: Record<string, unknown>;
  readonly body: Buffer;
}

function readAll(chunks: readonly Uint8Array[], maxBodyBytes = 1 << 20): { frames: Frame[]; offences: string[] } {
  const frames: Frame[] = [];
  const offences: string[] = [];
  const reader = new FrameReader({
    onFrame: (header, body, bytes) => frames.push({ header, body: Buffer.concat(body, bytes) }),
    onOffence: (offence) => offences.push(offence),
    maxBodyBytes: () => maxBodyBytes,
  });
  for (const chunk of chunks) reader.push(chunk);
  return { frames, offences };
}

async function written(frames: readonly (readonly [header: object, parts: readonly Uint8Array[]])[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  const writer = new FrameWriter(sink);
  for (const [header, parts] of frames) {
    writer.write(
      header,
      parts,
      parts.reduce((sum, part) => sum + part.byteLength, 0),
    );
  }
  await new Promise((resolve) => setImmediate(resolve));
  return Buffer.concat(chunks);
}

const headers = fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.parse(JSON.stringify(value)) as object);
const bodies = fc.array(fc.uint8Array({ maxLength: 40_000 }), { maxLength: 3 });

describe('frames', () => {
  it('come out as they went in, however the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(headers, bodies), { maxLength: 4 }),
        fc.integer({ min: 1, max: 9000 }),
        async (sent, cut) => {
          const stream = await written(sent);
          const chunks: Buffer[] = [];
          for (let at = 0; at < stream.length; at += cut) chunks.push(stream.subarray(at, at + cut));
          const { frames, offences } = readAll(chunks);
          assert.deepEqual(offences, []);
          assert.deepEqual(
            frames.map(({ header, body }) => [header, body.toString('hex')]),
            sent.map(([header, parts]) => [header, Buffer.concat(parts).toString('hex')]),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('never throw, whatever bytes arrive, and nothing is read after an offence', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (chunks) => {
        assert.ok(readAll(chunks).offences.length <= 1);
      }),
      { numRuns: 500 },
    );
  });

  it('are refused by their announced length, before anything is kept', () => {
    const prefix = (header: number, body: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32BE(header, 0);
      bytes.writeUInt32BE(body, 4);
      return bytes;
    };
    assert.match(readAll([prefix(0xffffffff, 0)]).offences[0]!, /a header of 4294967295 bytes/);
    assert.match(readAll([prefix(0, 0)]).offences[0]!, /a header of 0 bytes/);
    assert.equal(readAll([prefix(2, 2000)], 1000).offences[0], 'oversize:2000');
  });

  it('need a JSON object as header', () => {
    for (const text of ['[]', 'null', '1', '{', '{"a":1} x']) {
      const bytes = Buffer.alloc(8 + text.length);
      bytes.writeUInt32BE(text.length, 0);
      bytes.write(text, 8);
      assert.equal(readAll([bytes]).offences.length, 1, text);
    }
  });
});
