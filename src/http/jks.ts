// Reads the first private key of a Java keystore (JKS, versions 1 and 2), which OpenSSL cannot.
import { createHash, createPrivateKey, timingSafeEqual, X509Certificate } from 'node:crypto';
import { Fault } from '../kernel/index.ts';

export interface JksEntry {
  /** PKCS#8 PEM. */
  readonly key: string;
  /** The certificate and its chain, PEM. */
  readonly chain: string;
}

const MAGIC = 0xfeedfeed;
const TAG_PRIVATE_KEY = 1;
const TAG_TRUSTED = 2;
const SHA1_BYTES = 20;
/** Part of the integrity digest by definition of the format. */
const WHITENER = 'Mighty Aphrodite';
/** A keystore holds a handful of entries. */
const MAX_ENTRIES = 1000;

/** The key password is the store password (surface spec 6.10). Throws Fault `invalid_configuration`. */
export function readJks(bytes: Buffer, password: string, path: string): JksEntry {
  const secret = Buffer.from(password, 'utf16le').swap16();
  const content = bytes.subarray(0, -SHA1_BYTES);
  const digest = sha1(secret, Buffer.from(WHITENER, 'utf8'), content);
  if (bytes.length <= SHA1_BYTES + 12 || bytes.readUInt32BE(0) !== MAGIC)
    throw unusable(path, 'it is not a JKS keystore');
  if (!timingSafeEqual(digest, bytes.subarray(-SHA1_BYTES)))
    throw unusable(path, 'keystore_pass is wrong, or it is damaged');
  const reader = new Reader(content, path);
  reader.skip(4);
  const version = reader.uint32();
  const count = reader.uint32();
  if (version < 1 || version > 2 || count > MAX_ENTRIES) throw unusable(path, 'its version is not known');
  for (let at = 0; at < count; at += 1) {
    const tag = reader.uint32();
    // Alias and date.
    reader.block(reader.uint16());
    reader.skip(8);
    if (tag === TAG_PRIVATE_KEY) {
      const sealed = reader.block(reader.uint32());
      const chain = Array.from({ length: boundedCount(reader, path) }, () => reader.certificate(version));
      return {
        key: unseal(sealed, secret, path),
        chain: chain.map((der) => pemOf(der, path)).join(''),
      };
    }
    if (tag !== TAG_TRUSTED) throw unusable(path, 'it holds an entry of an unknown kind');
    reader.certificate(version);
  }
  throw unusable(path, 'No key entry found in keystore');
}

function boundedCount(reader: Reader, path: string): number {
  const count = reader.uint32();
  if (count > MAX_ENTRIES) throw unusable(path, 'a certificate chain is too long');
  return count;
}

/** Sun's key protector: a SHA-1 key stream from password and salt, and a digest of the plain text at the end. */
function unseal(sealed: Buffer, secret: Buffer, path: string): string {
  const data = octetStringOf(sealed, path);
  if (data.length < 2 * SHA1_BYTES) throw unusable(path, 'its key entry is damaged');
  const encrypted = data.subarray(SHA1_BYTES, -SHA1_BYTES);
  const plain = Buffer.alloc(encrypted.length);
  let stream: Buffer = data.subarray(0, SHA1_BYTES);
  for (let at = 0; at < encrypted.length; at += 1) {
    if (at % SHA1_BYTES === 0) stream = sha1(secret, stream);
    plain[at] = (encrypted[at] as number) ^ (stream[at % SHA1_BYTES] as number);
  }
  if (!timingSafeEqual(sha1(secret, plain), data.subarray(-SHA1_BYTES))) {
    throw unusable(path, 'the password of its key is not keystore_pass');
  }
  try {
    return createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' })
      .export({ format: 'pem', type: 'pkcs8' })
      .toString();
  } catch (cause) {
    throw unusable(path, 'its key is of a kind that is not known', cause);
  }
}

function pemOf(der: Buffer, path: string): string {
  try {
    return new X509Certificate(der).toString();
  } catch (cause) {
    throw unusable(path, 'a certificate in it is damaged', cause);
  }
}

/** EncryptedPrivateKeyInfo is a sequence of an algorithm and an octet string; only the latter is of interest. */
function octetStringOf(der: Buffer, path: string): Buffer {
  const outer = derValue(der, 0, 0x30, path);
  const algorithm = derValue(outer.value, 0, 0x30, path);
  return derValue(outer.value, algorithm.end, 0x04, path).value;
}

function derValue(der: Buffer, at: number, tag: number, path: string): { value: Buffer; end: number } {
  const first = der[at + 1];
  if (der[at] !== tag || first === undefined) throw unusable(path, 'its key entry is damaged');
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4 || at + 2 + lengthBytes > der.length) throw unusable(path, 'its key entry is damaged');
  const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes);
  const start = at + 2 + lengthBytes;
  if (start + length > der.length) throw unusable(path, 'its key entry is damaged');
  return { value: der.subarray(start, start + length), end: start + length };
}

class Reader {
  readonly #bytes: Buffer;
  readonly #path: string;
  #at = 0;

  constructor(bytes: Buffer, path: string) {
    this.#bytes = bytes;
    this.#path = path;
  }

  block(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw unusable(this.#path, 'it ends in the middle of an entry');
    const block = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return block;
  }

  skip(length: number): void {
    this.block(length);
  }

  uint16(): number {
    return this.block(2).readUInt16BE();
  }

  uint32(): number {
    return this.block(4).readUInt32BE();
  }

  certificate(version: number): Buffer {
    // Version 2 names the type of every certificate; it is X.509 in all that exist.
    if (version === 2) this.block(this.uint16());
    return this.block(this.uint32());
  }
}

function sha1(...pieces: readonly Buffer[]): Buffer {
  const hash = createHash('sha1');
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

function unusable(path: string, reason: string, cause?: unknown): Fault {
  return new Fault('invalid_configuration', `TLS cannot be set up: ${path}: ${reason}.`, { cause });
}
