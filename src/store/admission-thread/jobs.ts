// What the admission threads are asked and what they answer: plain data, because it crosses a thread boundary.
import type { ArchiveDescription, ContainerLimits, ModelFormat } from '../../archive/index.ts';
import { Fault, type FaultCode, type Finding } from '../../kernel/index.ts';
import type { SignatureCheck, SignatureOutcome } from '../provenance/verify-published.ts';

/** A file that lies in quarantine. */
export interface StoredName {
  readonly name: string;
  readonly path: string;
  readonly size: number;
}

/** Where a model is unpacked: an empty private directory, made and removed by whoever asks. */
interface Target {
  readonly dir: string;
  readonly limits: ContainerLimits;
}

/** `fd` stays open until the answer: the bytes that are hashed are the bytes that are unpacked. */
export interface UnpackJob extends Target {
  readonly kind: 'unpack';
  readonly fd: number;
  readonly size: number;
  /** Its ending says which container it is. */
  readonly fileName: string;
}

export interface CopyJob extends Target {
  readonly kind: 'copy';
  readonly path: string;
}

export interface DescribeJob {
  readonly kind: 'describe';
  readonly files: readonly StoredName[];
}

export interface InspectJob {
  readonly kind: 'inspect';
  readonly files: readonly StoredName[];
}

/** A file of a published model. */
export interface PublishedName {
  readonly name: string;
  readonly path: string;
}

export interface VerifyJob extends SignatureCheck {
  readonly kind: 'verify';
  readonly files: readonly PublishedName[];
}

export interface FormatsJob {
  readonly kind: 'formats';
  readonly files: readonly PublishedName[];
}

export type Job = UnpackJob | CopyJob | DescribeJob | InspectJob | VerifyJob | FormatsJob;

/** What now lies in the quarantine, in the order of the container. */
export interface Unpacked {
  /** Lower-case hex sha256. */
  readonly digest: string;
  readonly files: readonly (readonly [name: string, size: number])[];
  readonly directories: readonly string[];
}

export interface Results {
  readonly unpack: Unpacked;
  readonly copy: Unpacked;
  readonly describe: ArchiveDescription;
  readonly inspect: readonly Finding[];
  readonly verify: SignatureOutcome;
  readonly formats: ReadonlyMap<string, ModelFormat>;
}

export type Answer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly failure: Failure };

/** An error without its class, which a thread boundary takes away. */
interface Failure {
  readonly fault: FaultCode | null;
  readonly message: string;
  /** For the log only. */
  readonly cause: string;
  /** Of the operating system. */
  readonly code: string | undefined;
}

export function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { cause } = error;
  const below = cause instanceof Error ? cause.message : typeof cause === 'string' ? cause : '';
  return {
    fault: thrown instanceof Fault ? thrown.code : null,
    message: error.message,
    cause: thrown instanceof Fault ? below : (error.stack ?? ''),
    code: (error as NodeJS.ErrnoException).code,
  };
}

export function errorOf({ fault, message, cause, code }: Failure): Error {
  const options = cause === '' ? {} : { cause };
  if (fault !== null) return new Fault(fault, message, options);
  return Object.assign(new Error(message, options), code === undefined ? {} : { code });
}
