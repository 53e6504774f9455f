// Slows down guessing: every source address has a bucket of failures that refills with time.
import type { Clock } from '../kernel/index.ts';

export interface FailureLimits {
  /** Wrong keys a source may show in a burst. Enough for a fleet of misconfigured clients behind one address. */
  readonly burst: number;
  /** Seconds until one more is allowed. */
  readonly refillSec: number;
  /** Sources remembered; the longest silent one is forgotten first. 10,000 take about 2 MB. */
  readonly maxSources: number;
}

export const DEFAULT_FAILURE_LIMITS: FailureLimits = { burst: 20, refillSec: 3, maxSources: 10_000 };

interface Bucket {
  tokens: number;
  at: number;
}

export class FailureLimiter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #clock: Clock;
  readonly #limits: FailureLimits;

  constructor(clock: Clock, limits: FailureLimits = DEFAULT_FAILURE_LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Counts one failure of this source. False: it has used up its allowance. */
  record(remote: string): boolean {
    const source = sourceOf(remote);
    const now = this.#clock.now();
    const { burst, refillSec, maxSources } = this.#limits;
    const known = this.#buckets.get(source);
    const tokens = known ? Math.min(burst, known.tokens + (now - known.at) / (refillSec * 1000)) : burst;
    const isAllowed = tokens >= 1;
    // Deleting first keeps the map in order of last use, so that its first key is the one to forget.
    this.#buckets.delete(source);
    this.#buckets.set(source, { tokens: isAllowed ? tokens - 1 : tokens, at: now });
    if (this.#buckets.size > maxSources) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    return isAllowed;
  }
}

/** IPv4 as it is; IPv6 by its /64, because one machine owns a whole one. */
export function sourceOf(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? 0 : tail.split(':').length;
    while (groups.length + rest < 8) groups.push('0');
    groups.push(...(tail === '' ? [] : tail.split(':')));
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
