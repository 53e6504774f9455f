// The keys that are valid now. Only digests are kept, so a memory dump of this object opens nothing.
import { hash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../kernel/index.ts';
import type { Principal } from './permission.ts';

interface Entry {
  readonly principal: Principal;
  readonly digest: Buffer;
  /** Epoch milliseconds; Infinity never expires. */
  readonly expiresAt: number;
  /** The same instant by the clock that nobody can set; it may stand still while the machine sleeps. */
  readonly endsAt: number;
}

export class Keyring {
  readonly #byDigest = new Map<string, Entry>();
  readonly #digestBySlot = new Map<string, string>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Puts a key into a named slot. The key that was there before stops working at once (surface spec 6.5).
   * `expiresAt` is in epoch milliseconds; Infinity never expires.
   */
  put(slot: string, key: string, principal: Principal, expiresAt: number): void {
    this.remove(slot);
    const hex = digestOf(key);
    const endsAt = this.#clock.now() + (expiresAt - this.#clock.wallTime());
    this.#byDigest.set(hex, { principal, digest: Buffer.from(hex, 'hex'), expiresAt, endsAt });
    this.#digestBySlot.set(slot, hex);
  }

  remove(slot: string): void {
    const hex = this.#digestBySlot.get(slot);
    if (hex === undefined) return;
    this.#digestBySlot.delete(slot);
    this.#byDigest.delete(hex);
  }

  /** Whose key this is, or undefined for a wrong or expired one (expired from the instant `expiresAt` on). */
  identify(key: string): Principal | undefined {
    const hex = digestOf(key);
    const entry = this.#byDigest.get(hex);
    if (entry === undefined) return undefined;
    // The index is a digest the caller cannot steer towards a neighbour; the compare keeps the last step constant in time.
    if (!timingSafeEqual(entry.digest, Buffer.from(hex, 'hex'))) return undefined;
    // Whichever clock says so first: one that is set back must not give a key more time, nor bring it to life again.
    if (this.#clock.wallTime() < entry.expiresAt && this.#clock.now() < entry.endsAt) return entry.principal;
    this.#byDigest.delete(hex);
    return undefined;
  }
}

const digestOf = (key: string): string => hash('sha256', key, 'hex');
