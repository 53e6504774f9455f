// What clients hear of workers that are missing, late or dead, in the words of the reference.
import { Fault } from '../kernel/index.ts';
import type { InferenceRequest } from './inference.ts';
import type { DeathCause } from './ports.ts';

/** One text for every reason, stray quote included (surface spec 2.10). */
export function noWorker(code: 'no_worker' | 'queue_full', { model, version, operation }: InferenceRequest): Fault {
  const subject = version === undefined ? `Model "${model}"` : `Model "${model}" Version ${version}"`;
  const advice = 'Please use scale workers API to add workers.';
  if (operation === 'describe')
    return new Fault(code, `Model "${model}" has no worker to serve describe request. ${advice}`);
  return new Fault(
    code,
    `${subject} has no worker to serve inference request. ${advice} If this is a sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize`,
  );
}

/** Spelled as the reference spells it (surface spec 3.3). */
export const describeOverdue = (): Fault => new Fault('describe_failed', 'Failed to get customized model matadata.');

/** What the clients of a batch hear when its worker died (surface spec 2.10). */
export function faultOfDeath(cause: DeathCause): Fault {
  switch (cause.kind) {
    case 'out_of_memory':
      return new Fault('out_of_resources', 'Worker died.');
    case 'signal':
      // Nobody here sent it: SIGKILL from outside is nearly always the kernel's out-of-memory killer.
      return new Fault(cause.signal === 'SIGKILL' ? 'out_of_resources' : 'worker_died', 'Worker died.');
    case 'exit':
      return new Fault(cause.exitCode === SIGKILL_EXIT ? 'out_of_resources' : 'worker_died', 'Worker died.');
    case 'response_timeout':
      return new Fault('response_timeout', 'Worker died.');
    default:
      return new Fault('worker_died', 'Worker died.');
  }
}

/** 128 + SIGKILL, as a parent process such as a sandbox reports it. */
const SIGKILL_EXIT = 137;
