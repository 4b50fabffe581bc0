import { BlockList, isIP, isIPv4 } from 'node:net';

/**
 * What lies behind an IP address.
 * - `forbidden`: metadata services, the platform's own services, and what no client has business with.
 * - `private`: networks that are not routed on the internet.
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'forbidden';

type Network = readonly [network: string, prefixLength: number];

const FORBIDDEN: readonly Network[] = [
  ['0.0.0.0', 8],
  // Link-local: the metadata services of Azure, AWS and Google, and those of containers.
  ['169.254.0.0', 16],
  // Azure's platform (DNS, health, WireServer), on every virtual machine and virtual network.
  ['168.63.129.16', 32],
  // Alibaba Cloud's metadata service.
  ['100.100.100.200', 32],
  ['192.0.0.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['fe80::', 10],
  ['ff00::', 8],
  // The metadata services of AWS and of Google over IPv6.
  ['fd00:ec2::', 32],
  ['fd20:ce::', 32],
  // IPv4 addresses in other clothes: translated, tunnelled.
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2001::', 32],
  ['2002::', 16],
];
const PRIVATE: readonly Network[] = [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['fc00::', 7],
  ['fec0::', 10],
];
const LOOPBACK: readonly Network[] = [
  ['127.0.0.0', 8],
  ['::1', 128],
];
/** What stands for IPv4 addresses in IPv6's oldest notation, with `::`, but for `::1`. */
const COMPATIBLE: readonly Network[] = [['::', 96]];

function listOf(networks: readonly Network[]): BlockList {
  const list = new BlockList();
  for (const [network, prefixLength] of networks)
    list.addSubnet(network, prefixLength, isIPv4(network) ? 'ipv4' : 'ipv6');
  return list;
}

/** In the order in which they are asked: the first that holds the address says what it is. */
const KINDS: readonly (readonly [AddressKind, BlockList])[] = [
  ['forbidden', listOf(FORBIDDEN)],
  ['loopback', listOf(LOOPBACK)],
  ['private', listOf(PRIVATE)],
  ['forbidden', listOf(COMPATIBLE)],
];

/**
 * The kind of an IPv4 or IPv6 address, without brackets; an IPv4 address mapped into IPv6 counts as itself.
 *
 * What is no address is `forbidden`.
 */
export function addressKindOf(address: string): AddressKind {
  // A zone (`fe80::1%eth0`) says which network, not which address.
  const bare = address.split('%')[0] ?? '';
  const version = isIP(bare);
  if (version === 0) return 'forbidden';
  return KINDS.find(([, list]) => list.check(bare, version === 4 ? 'ipv4' : 'ipv6'))?.[0] ?? 'public';
}
