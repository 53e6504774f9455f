// What an archive may cost before it is refused. Every number is a ceiling on counted work, never on a header's claim.

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export interface ContainerLimits {
  /** Files and directories. Real archives hold tens; ten thousand covers tokenizer and vocabulary folders. */
  readonly maxEntries: number;
  /** Path segments of one name. Deeper trees only serve to exhaust path limits of what reads them later. */
  readonly maxDepth: number;
  /** Bytes of one path segment: NAME_MAX of Linux file systems. */
  readonly maxSegmentBytes: number;
  /** Bytes of a whole name: a quarter of PATH_MAX, so that the store's own prefix always fits. */
  readonly maxNameBytes: number;
  /** Unpacked bytes of one file. */
  readonly maxMemberBytes: number;
  /** Unpacked bytes of all files together. */
  readonly maxTotalBytes: number;
  /** Unpacked bytes that no ratio rule applies to: zero-filled tensors compress 1000:1 and are harmless while small. */
  readonly ratioFloorBytes: number;
  /** Above the floor, unpacked bytes per archive byte. Weights hardly compress; text reaches 20:1. */
  readonly maxRatio: number;
}

export const DEFAULT_CONTAINER_LIMITS: ContainerLimits = {
  maxEntries: 10_000,
  maxDepth: 16,
  maxSegmentBytes: 255,
  maxNameBytes: 1024,
  maxMemberBytes: 64 * GIB,
  maxTotalBytes: 128 * GIB,
  ratioFloorBytes: 64 * MIB,
  maxRatio: 100,
};

/** Unpacked bytes that an archive of this size may have. */
export function unpackedCeiling(archiveBytes: number, limits: ContainerLimits): number {
  return Math.min(limits.maxTotalBytes, Math.max(limits.ratioFloorBytes, archiveBytes * limits.maxRatio));
}
