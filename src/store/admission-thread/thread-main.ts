// The entry of an admission thread: one job at a time, one answer each.
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { Finding, Severity } from '../../kernel/index.ts';
import {
  describeArchive,
  inspectContent,
  modelFormats,
  type ArchiveDescription,
  type QuarantinedFile,
} from '../../archive/index.ts';
import { fileForInspection } from '../models/inspection-source.ts';
import { syncFileAccess } from '../models/open-file.ts';
import { Quarantine, readSmall, storedFile, type StoredFile } from '../models/quarantine.ts';
import { copyDirectory, hashAndUnpack } from '../models/unpack.ts';
import { verifyPublished } from '../provenance/verify-published.ts';
import { failureOf, type Answer, type Job, type PublishedName, type StoredName, type Unpacked } from './jobs.ts';

/** Where processors are short, predictions go first. On Linux this is a matter of the calling thread alone. */
const NICENESS = 10;
if (process.platform === 'linux') setPriority(NICENESS);

/** Jobs are ended by ending the thread. */
const { signal } = new AbortController();

parentPort?.on('message', (job: Job) => {
  void perform(job)
    .then(
      (value): Answer => ({ ok: true, value }),
      (thrown: unknown): Answer => ({ ok: false, failure: failureOf(thrown) }),
    )
    .then((answer) => parentPort?.postMessage(answer));
});

async function perform(job: Job): Promise<unknown> {
  switch (job.kind) {
    case 'unpack': {
      const into = Quarantine.at(job.dir);
      const archive = syncFileAccess(job.fd, job.size);
      return unpacked(await hashAndUnpack(archive, job.fileName, into, job.limits, signal), into);
    }
    case 'copy': {
      const into = Quarantine.at(job.dir);
      return unpacked(await copyDirectory(job.path, into, job.limits, signal), into);
    }
    case 'describe':
      return await describe(job.files);
    case 'inspect':
      return worst(await inspectContent(job.files.map(asFile), signal));
    case 'verify':
      return await verifyPublished(job, await published(job.files), signal);
    case 'formats':
      return await modelFormats(await published(job.files));
  }
}

const unpacked = (digest: string, { contents, directories }: Quarantine): Unpacked => ({
  digest,
  files: contents,
  directories,
});

/** What thousands of files have to say is copied to the server's own thread, which must not wait for it. */
const MAX_FINDINGS = 1000;
const SEVERITIES: readonly Severity[] = ['critical', 'high', 'medium', 'low', 'info'];

function worst(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length <= MAX_FINDINGS) return findings;
  const weight = ({ severity }: Finding): number => SEVERITIES.indexOf(severity);
  return findings.toSorted((a, b) => weight(a) - weight(b)).slice(0, MAX_FINDINGS);
}

const asFile = ({ name, path, size }: StoredName): StoredFile => storedFile(name, path, size);

const published = (files: readonly PublishedName[]): Promise<readonly QuarantinedFile[]> =>
  Promise.all(files.map(({ path, name }) => fileForInspection(path, name)));

async function describe(stored: readonly StoredName[]): Promise<ArchiveDescription> {
  const files = new Map(stored.map((file) => [file.name, asFile(file)]));
  return await describeArchive([...files.keys()].toSorted(), (name, maxBytes) => readSmall(files.get(name)!, maxBytes));
}
