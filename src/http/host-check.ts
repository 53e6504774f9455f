// Keeps a web page from reaching a loopback listener under a name that its author points at 127.0.0.1 (DNS rebinding).
// The browser then sends that name as Host, so a listener on loopback only answers to names that are its own.
import { isIP } from 'node:net';

/** Names remembered as good, so that the usual request costs one look-up. */
const MAX_REMEMBERED = 64;

/**
 * Accepts loopback names, the name the listener was bound by, the configured names, and plain addresses
 * (a rebinding attack needs a name). HTTP/1.0 without a Host is accepted too: browsers always send one.
 */
export function createHostCheck(names: readonly string[]): (host: string | undefined) => boolean {
  const own = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
  const remembered = new Set<string>();
  return (host) => {
    if (host === undefined || remembered.has(host)) return true;
    const name = nameOf(host);
    const isAllowed = name !== undefined && (own.has(name) || name.endsWith('.localhost') || isIP(name) !== 0);
    if (isAllowed && remembered.size < MAX_REMEMBERED) remembered.add(host);
    return isAllowed;
  };
}

/** The host of `host[:port]` without brackets, lower case; undefined when the text is not of that form. */
export function nameOf(host: string): string | undefined {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([^\s:/?#@[\]]+))(?::\d{1,5})?$/i.exec(host);
  return (parts?.[1] ?? parts?.[2])?.toLowerCase().replace(/\.$/, '');
}
