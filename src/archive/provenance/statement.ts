// The in-toto statement of OpenSSF Model Signing v1.0: which files a signature covers, each with its sha256.
//
// A statement is read only after the signature over its bytes was verified. What its author controls is a list of names
// and digests; nothing in it widens what is accepted (`ignore_paths` least of all).
import { createHash } from 'node:crypto';
import { Refusal } from '../content/refusal.ts';
import { parseStrictJson, type Json, type JsonObject } from '../content/strict-json.ts';

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const PREDICATE_TYPE = 'https://model_signing/signature/v1.0';
/** How the reference implementation names the only file of a model that is a single file. */
export const SINGLE_FILE = '.';

export interface Statement {
  /** Informational: the base name of what was signed. */
  readonly subject: string;
  /** sha256 over the digests in their order; a name for the whole. Lower-case hex. */
  readonly rootDigest: string;
  /** Lower-case hex sha256 by name; `.` for a model that is one file. */
  readonly files: ReadonlyMap<string, string>;
}

/** Paths that the reference implementation leaves out by default, with everything below them. */
export const GIT_PATHS: readonly string[] = ['.git', '.gitattributes', '.github', '.gitignore'];

/** The JSON that is signed. `files` are sha256 digests in hex by name; they are written in code point order (spec 5.2.1). */
export function renderStatement(
  subject: string,
  files: ReadonlyMap<string, string>,
  ignoredPaths: readonly string[],
): Buffer {
  const resources = [...files]
    .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([name, digest]) => ({ name, algorithm: 'sha256', digest }));
  const statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: subject, digest: { sha256: rootDigestOf(resources.map(({ digest }) => digest)) } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false, ignore_paths: ignoredPaths },
      resources,
    },
  };
  return Buffer.from(JSON.stringify(statement));
}

/** Throws a Refusal with `signature_invalid` for anything but a statement that this version fully understands. */
export function parseStatement(payload: Uint8Array): Statement {
  const document = objectOf(parseStrictJson(utf8(payload), 'signature_invalid'), 'statement');
  expectText(document, '_type', STATEMENT_TYPE);
  expectText(document, 'predicateType', PREDICATE_TYPE);
  const predicate = objectOf(document.get('predicate'), 'predicate');
  const serialization = objectOf(predicate.get('serialization'), 'serialization');
  expectText(serialization, 'method', 'files');
  expectText(serialization, 'hash_type', 'sha256');
  // Links are never followed here, so a signature over what they pointed to can only be meant for somebody else.
  if (serialization.get('allow_symlinks') !== false) throw invalid('allow_symlinks must be false');
  const files = filesOf(predicate.get('resources'));
  const { subject, digest } = subjectOf(document.get('subject'));
  if (digest !== rootDigestOf([...files.values()])) throw invalid('the root digest does not match the list of files');
  return { subject, rootDigest: digest, files };
}

function filesOf(resources: Json | undefined): Map<string, string> {
  if (!Array.isArray(resources) || resources.length === 0) throw invalid('it lists no files');
  const files = new Map<string, string>();
  for (const item of resources) {
    const resource = objectOf(item, 'resource');
    const name = textOf(resource, 'name');
    if (files.has(name)) throw invalid('it lists a file twice');
    expectText(resource, 'algorithm', 'sha256');
    files.set(name, digestOf(resource.get('digest')));
  }
  return files;
}

function subjectOf(subjects: Json | undefined): { readonly subject: string; readonly digest: string } {
  if (!Array.isArray(subjects) || subjects.length !== 1) throw invalid('it must have exactly one subject');
  const subject = objectOf(subjects[0], 'subject');
  return {
    subject: textOf(subject, 'name'),
    digest: digestOf(objectOf(subject.get('digest'), 'digest').get('sha256')),
  };
}

function rootDigestOf(digests: readonly string[]): string {
  const hash = createHash('sha256');
  for (const digest of digests) hash.update(digest, 'hex');
  return hash.digest('hex');
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid('it is not UTF-8');
  }
}

function digestOf(value: Json | undefined): string {
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value;
  throw invalid('a digest is not a sha256 in lower-case hex');
}

function objectOf(value: Json | undefined, what: string): JsonObject {
  if (value instanceof Map) return value;
  throw invalid(`its ${what} is not an object`);
}

function textOf(object: JsonObject, key: string): string {
  const value = object.get(key);
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(`${key} is not a text`);
}

function expectText(object: JsonObject, key: string, expected: string): void {
  if (textOf(object, key) !== expected) throw invalid(`${key} must be ${expected}`);
}

const invalid = (reason: string): Refusal => new Refusal('signature_invalid', `The signed statement: ${reason}.`);
