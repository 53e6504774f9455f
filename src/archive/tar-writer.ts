// Writes tar headers that depend on nothing but names and sizes, so that the same files give the same archive.

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
/** 1980-01-01T00:00:00Z, the first moment that ZIP can express as well. */
const FIXED_MTIME_SECONDS = 315_532_800;

/** The header of one entry, with a pax header before it where the name or the size needs one. */
export function tarHeader(name: string, size: number, isDirectory = false): Buffer {
  const type = isDirectory ? '5' : '0';
  const mode = isDirectory ? 0o755 : 0o644;
  const records: string[] = [];
  if (Buffer.byteLength(name) > NAME_BYTES || /[^ -~]/.test(name)) records.push(paxRecord('path', name));
  if (size > 0o77777777777) records.push(paxRecord('size', String(size)));
  if (records.length === 0) return header(name, size, mode, type);
  const body = Buffer.from(records.join(''));
  const shortName = name.replace(/[^ -~]/g, '_').slice(0, NAME_BYTES);
  return Buffer.concat([
    header('././@PaxHeader', body.length, 0o644, 'x'),
    body,
    tarPadding(body.length),
    header(shortName, size > 0o77777777777 ? 0 : size, mode, type),
  ]);
}

/** Zeros up to the next block. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);

export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK_BYTES);

function header(name: string, size: number, mode: number, type: string): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;
  block.write(name, 0, NAME_BYTES, 'utf8');
  block.write(octal(mode, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(FIXED_MTIME_SECONDS, 11), 136);
  block.write('        ', 148);
  block.write(type, 156);
  block.write('ustar\x0000', 257);
  block.write(
    `${octal(
      block.reduce((sum, byte) => sum + byte, 0),
      6,
    )} `,
    148,
  );
  return block;
}

/** `length SP key=value LF`, length counting its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest) + 1;
  while (String(length).length + Buffer.byteLength(rest) !== length) length += 1;
  return `${length}${rest}`;
}
