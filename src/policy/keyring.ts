// The keys that are valid now. Only digests are kept, so a memory dump of this object opens nothing.
import { hash, timingSafeEqual } from 'node:crypto';
import type { Principal } from './permission.ts';

interface Entry {
  readonly principal: Principal;
  readonly digest: Buffer;
  /** Epoch milliseconds; Infinity never expires. */
  readonly expiresAt: number;
}

export class Keyring {
  readonly #byDigest = new Map<string, Entry>();
  readonly #digestBySlot = new Map<string, string>();

  /**
   * Puts a key into a named slot. The key that was there before stops working at once (surface spec 6.5).
   * `expiresAt` is in epoch milliseconds; Infinity never expires.
   */
  put(slot: string, key: string, principal: Principal, expiresAt: number): void {
    this.remove(slot);
    const hex = digestOf(key);
    this.#byDigest.set(hex, { principal, digest: Buffer.from(hex, 'hex'), expiresAt });
    this.#digestBySlot.set(slot, hex);
  }

  remove(slot: string): void {
    const hex = this.#digestBySlot.get(slot);
    if (hex === undefined) return;
    this.#digestBySlot.delete(slot);
    this.#byDigest.delete(hex);
  }

  /** Whose key this is, or undefined for a wrong or expired one (expired from the instant `expiresAt` on). */
  identify(key: string, wallTime: number): Principal | undefined {
    const hex = digestOf(key);
    const entry = this.#byDigest.get(hex);
    if (entry === undefined) return undefined;
    // The index is a digest the caller cannot steer towards a neighbour; the compare keeps the last step constant in time.
    if (!timingSafeEqual(entry.digest, Buffer.from(hex, 'hex'))) return undefined;
    if (wallTime < entry.expiresAt) return entry.principal;
    // Expired for good: a clock that is set back must not bring it to life again.
    this.#byDigest.delete(hex);
    return undefined;
  }
}

const digestOf = (key: string): string => hash('sha256', key, 'hex');
