// Snapshots of what is served: after the start, after every change, at a clean stop (surface spec 7.7).
import { join } from 'node:path';
import { renderSnapshot, type Settings, type SnapshotKind, type SnapshotModel } from '../config/index.ts';
import type { Clock } from '../kernel/index.ts';
import type { Announcements, ControlPlane } from '../serving/index.ts';
import { writeSnapshot } from '../store/index.ts';

/** Changes that come in a burst are one snapshot. Requests never wait for it. */
const BURST_MS = 100;

export interface SnapshotOptions {
  readonly settings: Pick<Settings, 'log' | 'effective'>;
  readonly control: Pick<ControlPlane, 'records' | 'isDefault'>;
  readonly announcements: Announcements;
  readonly clock: Clock;
}

/** One write at a time; what changes meanwhile is in the next one. Failures are notices: a full disk stops no prediction. */
export class Snapshots {
  readonly #options: SnapshotOptions;
  #subscription: { unsubscribe(): void } | undefined;
  #lastWrite: Promise<void> = Promise.resolve();
  #isDue = false;

  constructor(options: SnapshotOptions) {
    this.#options = options;
  }

  /** The startup snapshot; from here on every change of the models makes one. Resolves when it is written. */
  start(): Promise<void> {
    this.#subscription = this.#options.announcements.model.subscribe(({ change }) => {
      if (change !== 'refused') this.#schedule();
    });
    return this.#write('startup');
  }

  /** The shutdown snapshot, if the server had started. To be called while the models are still registered. */
  async stop(): Promise<void> {
    if (this.#subscription === undefined) return;
    this.#subscription.unsubscribe();
    this.#isDue = false;
    await this.#write('shutdown');
  }

  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#options.clock.after(BURST_MS, () => {
      if (!this.#isDue) return;
      this.#isDue = false;
      void this.#write('snapshot');
    });
  }

  #write(kind: SnapshotKind): Promise<void> {
    this.#lastWrite = this.#lastWrite.then(() => this.#writeNow(kind));
    return this.#lastWrite;
  }

  async #writeNow(kind: SnapshotKind): Promise<void> {
    const { settings, control, announcements, clock } = this.#options;
    const dir = join(settings.log.dir, 'config');
    try {
      const createdAt = clock.wallTime();
      await writeSnapshot(dir, kind, new Date(createdAt), (name) =>
        renderSnapshot({ name, createdAt, values: settings.effective(), models: modelsOf(control) }),
      );
    } catch (cause) {
      announcements.notice.publish({ level: 'error', message: `Cannot write a snapshot into ${dir}.`, cause });
    }
  }
}

function modelsOf(control: SnapshotOptions['control']): readonly SnapshotModel[] {
  return control.records.map((record) => ({
    name: record.name,
    version: record.version,
    isDefaultVersion: control.isDefault(record),
    marName: record.admitted.location,
    minWorkers: record.minWorkers,
    maxWorkers: record.maxWorkers,
    batchSize: record.plan.batchSize,
    maxBatchDelayMs: record.plan.maxBatchDelayMs,
    responseTimeoutSec: record.plan.responseTimeoutSec,
    startupTimeoutSec: record.plan.startupTimeoutSec,
    runtimeType: record.runtimeLabel,
    parallelLevel: record.plan.parallelLevel,
  }));
}
