// Writes a converted checkpoint beside its target and renames it into place, so that no half of a file is ever seen.
import { randomBytes } from 'node:crypto';
import { link, open, realpath, rename, unlink } from 'node:fs/promises';
import { planConversion, type Conversion } from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { fileForInspection } from '../../store/index.ts';

/** Throws `archive_refused` for what cannot be converted, `file_exists` unless `isForced`. */
export async function convertFile(input: string, output: string, isForced: boolean): Promise<Conversion> {
  const file = await fileForInspection(await realpath(input), input);
  await using opened = await file.open();
  const conversion = await planConversion(opened);
  const partial = `${output}.${randomBytes(6).toString('hex')}.part`;
  try {
    await write(partial, conversion);
    if (isForced) await rename(partial, output);
    else await link(partial, output).catch((cause: unknown) => {
      throw new Fault('file_exists', `${output} exists or cannot be written (--force overwrites).`, { cause });
    }); // prettier-ignore
    return conversion;
  } finally {
    await unlink(partial).catch(() => {});
  }
}

async function write(path: string, { head, data }: Conversion): Promise<void> {
  await using handle = await open(path, 'wx');
  await handle.writeFile(head);
  for await (const piece of data()) await handle.writeFile(piece);
  await handle.sync();
}
