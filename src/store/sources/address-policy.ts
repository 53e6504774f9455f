// Which network addresses a download may connect to. Decided on the resolved address, after every spelling is gone.
import { BlockList, isIPv4 } from 'node:net';

export type AddressClass =
  /** Reachable from anywhere: any allowed host may resolve to it. */
  | 'public'
  /** The host itself, its networks and what carries IPv4 inside IPv6: only for hosts that an entry names literally. */
  | 'internal'
  /** Cloud metadata, link-local, multicast, unspecified: only where an entry names the address itself. */
  | 'forbidden';

// IANA special-purpose registries (RFC 6890 and successors) plus the metadata addresses of the large clouds.
const FORBIDDEN = subnets(
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 128],
  ['fe80::', 10],
  ['ff00::', 8],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
);
const INTERNAL_IPV4 = subnets(
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
);
/** Global unicast; everything outside it (loopback, unique local, mapped, NAT64…) is internal. */
const GLOBAL_IPV6 = subnets(['2000::', 3]);
/** Inside global unicast, but tunnels or documentation: Teredo and its block, 6to4, documentation. */
const TUNNEL_IPV6 = subnets(['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20]);

/** `address` is canonical text as the resolver or the URL parser gives it, without brackets or zone. */
export function classifyAddress(address: string): AddressClass {
  const mapped = mappedIPv4(address);
  if (mapped !== null) return classifyAddress(mapped) === 'forbidden' ? 'forbidden' : 'internal';
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  if (FORBIDDEN.check(address, family)) return 'forbidden';
  if (family === 'ipv4') return INTERNAL_IPV4.check(address, family) ? 'internal' : 'public';
  const isPublic = GLOBAL_IPV6.check(address, family) && !TUNNEL_IPV6.check(address, family);
  return isPublic ? 'public' : 'internal';
}

/** The IPv4 address inside `::ffff:0:0/96`, which is only another spelling of it. */
function mappedIPv4(address: string): string | null {
  const match = /^::ffff:(?:([0-9a-f]{1,4}):([0-9a-f]{1,4})|(\d+\.\d+\.\d+\.\d+))$/i.exec(address);
  if (match === null) return null;
  if (match[3] !== undefined) return match[3];
  const [high, low] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function subnets(...nets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [net, bits] of nets) list.addSubnet(net, bits, isIPv4(net) ? 'ipv4' : 'ipv6');
  return list;
}
