// The containers that an archive can be written as. Nothing in them depends on clock, user, umask or time zone.
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, writeFile, chmod } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { ZipFile } from 'yazl';
import { TAR_END, tarHeader, tarPadding } from '../../archive/index.ts';
import type { InputFile } from './input-files.ts';

const FILE_MODE = 0o100644;

/** yazl writes local time: this constructor gives the same fields in every time zone. */
const fixedTime = (): Date => new Date(1980, 0, 1);

export async function writeZip(
  path: string,
  files: readonly InputFile[],
  manifest: InputFile,
  compress: boolean,
  archiveMode = 0o666,
): Promise<void> {
  const zip = new ZipFile();
  // yazl reports a file that it cannot read on itself, not on its output.
  const output = zip.outputStream as Readable;
  zip.on('error', (error: Error) => output.destroy(error));
  const options = { mtime: fixedTime(), mode: FILE_MODE, compress, forceDosTimestamp: true };
  for (const file of [manifest, ...files]) {
    if (file.content !== undefined) zip.addBuffer(file.content, file.name, options);
    else
      zip.addReadStreamLazy(file.name, { ...options, size: file.size }, (give) =>
        give(null, createReadStream(file.source)),
      );
  }
  zip.end();
  await pipeline(output, createWriteStream(path, { flags: 'wx', mode: archiveMode }));
}

export async function writeTarGz(
  path: string,
  root: string,
  files: readonly InputFile[],
  manifest: InputFile,
): Promise<void> {
  const gzip = createGzip();
  await pipeline(tarPieces(root, [manifest, ...files]), gzip, createWriteStream(path, { flags: 'wx' }));
}

export async function writeDirectory(path: string, files: readonly InputFile[], manifest: InputFile): Promise<void> {
  for (const file of [manifest, ...files]) {
    const target = join(path, file.name);
    await mkdir(dirname(target), { recursive: true });
    if (file.content === undefined) await copyFile(file.source, target);
    else await writeFile(target, file.content);
    await chmod(target, FILE_MODE & 0o777);
  }
}

async function* tarPieces(root: string, files: readonly InputFile[]): AsyncGenerator<Buffer> {
  yield tarHeader(`${root}/`, 0, true);
  for (const file of files) {
    yield tarHeader(`${root}/${file.name}`, file.size);
    let written = 0;
    for await (const piece of contentOf(file)) {
      written += piece.length;
      yield piece;
    }
    if (written !== file.size) throw new Error(`${file.source} changed while it was archived`);
    yield tarPadding(file.size);
  }
  yield TAR_END;
}

const contentOf = (file: InputFile): AsyncIterable<Buffer> =>
  file.content === undefined
    ? (createReadStream(file.source) as AsyncIterable<Buffer>)
    : (Readable.from([file.content]) as AsyncIterable<Buffer>);
