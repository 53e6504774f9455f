// Who may hold how many of a listener's connections, or of anything else that is bounded and can be taken back. Where all are
// taken, a newcomer gets the place of one that whoever holds the most does not use: no source can keep the others out, and
// clients behind one address (a proxy, a NAT) make room for each other.
import { sourceOf } from './failure-limiter.ts';

/** Connections of the greedy source that are looked at, oldest first, for one that is idle. */
const MAX_LOOKS = 64;

export class ConnectionShares<Connection> {
  readonly #max: number;
  readonly #maxPerSource: number;
  readonly #sources = new Map<string, Set<Connection>>();
  readonly #sourceOf = new Map<Connection, string>();

  /** `maxPerSource`: Infinity switches that cap off. */
  constructor(max: number, maxPerSource: number) {
    this.#max = max;
    this.#maxPerSource = maxPerSource;
  }

  get size(): number {
    return this.#sourceOf.size;
  }

  /**
   * False: there is no room for this one. `remote` is the peer's address; connections without one (unix sockets) share one
   * source. `evict` is called with an idle connection that has to go first; it has left already.
   */
  enter(
    connection: Connection,
    remote: string | undefined,
    isIdle: (connection: Connection) => boolean,
    evict: (connection: Connection) => void,
  ): boolean {
    const source = remote === undefined ? '' : sourceOf(remote);
    const held = this.#sources.get(source)?.size ?? 0;
    if (held >= this.#maxPerSource && remote !== undefined) return false;
    if (this.size >= this.#max) {
      const idle = this.#idleOfGreediest(source, held, isIdle);
      if (idle === undefined) return false;
      this.leave(idle);
      evict(idle);
    }
    const own = this.#sources.get(source);
    if (own === undefined) this.#sources.set(source, new Set([connection]));
    else own.add(connection);
    this.#sourceOf.set(connection, source);
    return true;
  }

  leave(connection: Connection): void {
    const source = this.#sourceOf.get(connection);
    if (source === undefined) return;
    this.#sourceOf.delete(connection);
    const own = this.#sources.get(source);
    own?.delete(connection);
    if (own?.size === 0) this.#sources.delete(source);
  }

  /** Of the newcomer's own source, unless another would still hold more than it. Undefined: none of those is idle. */
  #idleOfGreediest(source: string, held: number, isIdle: (connection: Connection) => boolean): Connection | undefined {
    let greediest = this.#sources.get(source);
    for (const own of this.#sources.values()) if (own.size > Math.max(greediest?.size ?? 0, held + 1)) greediest = own;
    if (greediest === undefined) return undefined;
    let looks = Math.min(MAX_LOOKS, greediest.size);
    for (const connection of greediest) {
      if (isIdle(connection)) return connection;
      // The next newcomer looks at others first.
      greediest.delete(connection);
      greediest.add(connection);
      looks -= 1;
      if (looks === 0) return undefined;
    }
    return undefined;
  }
}
