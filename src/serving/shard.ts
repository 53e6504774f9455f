// One shard of the data path: its lanes, found by name and version. Built by the composition root, shares nothing.
import { Fault, type Clock } from '../kernel/index.ts';
import type { Announcements } from './announcements.ts';
import type { DataPlane, Header, InferenceRequest, Outlet, Reply, Ticket } from './inference.ts';
import { Lane } from './lane.ts';
import type { WorkerLauncher, WorkerSpec } from './ports.ts';
import type { LaneKey, LaneSpec, LaneStats, ShardControl, ShardEvent } from './shard-protocol.ts';

export interface ShardOptions {
  readonly clock: Clock;
  readonly announce: Announcements;
  readonly launcher: WorkerLauncher;
  readonly onEvent: (event: ShardEvent) => void;
}

interface Lanes {
  defaultVersion: string;
  readonly versions: Map<string, Lane>;
}

export class Shard implements DataPlane, ShardControl {
  readonly #options: ShardOptions;
  readonly #models = new Map<string, Lanes>();
  /** Lanes that no request finds any more, until their workers are gone. */
  readonly #closing: Lane[] = [];

  constructor(options: ShardOptions) {
    this.#options = options;
  }

  submit(request: InferenceRequest, outlet: Outlet): Ticket {
    return this.#lane(request.model, request.version).submit(request, outlet);
  }

  openLane(spec: LaneSpec, isDefault: boolean): void {
    const lane = new Lane(spec, this.#options.clock, this.#options.announce);
    const lanes = this.#models.get(spec.name);
    if (lanes === undefined) {
      this.#models.set(spec.name, { defaultVersion: spec.version, versions: new Map([[spec.version, lane]]) });
      return;
    }
    lanes.versions.set(spec.version, lane);
    if (isDefault) lanes.defaultVersion = spec.version;
  }

  setDefault({ name, version }: LaneKey): void {
    this.#lane(name, version);
    this.#models.get(name)!.defaultVersion = version;
  }

  closeLane({ name, version }: LaneKey): void {
    const lane = this.#lane(name, version);
    lane.close(new Fault('model_not_found', `Model not found: ${name}`));
    if (lane.hasSeats) this.#closing.push(lane);
    const lanes = this.#models.get(name)!;
    lanes.versions.delete(version);
    if (lanes.versions.size === 0) this.#models.delete(name);
  }

  startWorker(key: LaneKey, spec: WorkerSpec): void {
    const { onEvent, launcher } = this.#options;
    const lane = this.#lane(key.name, key.version);
    const { seat, events } = lane.addSeat(spec.workerId, (change) =>
      onEvent({ name: key.name, version: key.version, workerId: spec.workerId, ...change }),
    );
    seat.occupy(launcher.launch(spec, events));
  }

  async stopWorker(key: LaneKey, workerId: string, graceMs: number): Promise<void> {
    const lane = this.#laneOfWorker(key, workerId);
    const seat = lane?.seat(workerId);
    if (lane === undefined || seat === undefined) return;
    seat.isLeaving = true;
    const { clock } = this.#options;
    const until = clock.now() + graceMs;
    await Promise.race([seat.whenEmpty(), new Promise<void>((resolve) => clock.after(graceMs, resolve))]);
    await seat.worker?.stop(Math.max(0, until - clock.now()));
    this.removeWorker(key, workerId);
  }

  removeWorker(key: LaneKey, workerId: string): void {
    const lane = this.#laneOfWorker(key, workerId);
    lane?.removeSeat(workerId);
    if (lane !== undefined && !lane.hasSeats && this.#closing.includes(lane)) {
      this.#closing.splice(this.#closing.indexOf(lane), 1);
    }
  }

  /** A job of its own, which handlers know by the header `describe: True` (surface spec 2.5). */
  describe(key: LaneKey, requestId: string, headers: readonly Header[]): Promise<Reply> {
    const { name: model, version } = key;
    const marked: Header[] = [...headers, ['describe', 'True']];
    return new Promise((resolve, reject) => {
      this.submit(
        { requestId, operation: 'describe', model, version, headers: marked, parts: [] },
        { send: (reply, isLast) => isLast && resolve(reply), fail: reject },
      );
    });
  }

  async stats(key: LaneKey): Promise<LaneStats> {
    return this.#lane(key.name, key.version).stats;
  }

  /** While a lane closes, a new one may have its name and version: the worker's seat tells them apart. */
  #laneOfWorker({ name, version }: LaneKey, workerId: string): Lane | undefined {
    const open = this.#models.get(name)?.versions.get(version);
    if (open?.seat(workerId) !== undefined) return open;
    return this.#closing.find((lane) => lane.seat(workerId) !== undefined);
  }

  #lane(model: string, version: string | undefined): Lane {
    const lanes = this.#models.get(model);
    if (lanes === undefined) throw new Fault('model_not_found', `Model not found: ${model}`);
    const lane = lanes.versions.get(version ?? lanes.defaultVersion);
    if (lane !== undefined) return lane;
    throw new Fault('model_version_not_found', `Model version: ${version} does not exist for model: ${model}`);
  }
}
