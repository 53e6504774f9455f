// Configuration: properties file, environment and flags in; one frozen Settings with the origin of every value out. Pure.
export type {
  Address,
  EffectiveValue,
  GrpcListener,
  IsolationLevel,
  ModelDefaults,
  Origin,
  S3Settings,
  ScannerSettings,
  Settings,
  StartupModel,
  StartupModels,
} from './settings.ts';
export type { Facts } from './facts.ts';
export { loadSettings } from './load.ts';
export { isLoopbackHost } from './address.ts';
export type { ConfigFile, Environment, Flag, Sources } from './resolve.ts';
export { type KeyName, isKeyName } from './keys/index.ts';
export { parseProperties } from './properties.ts';
export { type FileOwnership, type LookupInput, type LookupResult, lookUpConfig, requireTrustedFile } from './lookup.ts';
export {
  type SnapshotContent,
  type SnapshotKind,
  type SnapshotModel,
  renderSnapshot,
  SNAPSHOT_MARK,
  snapshotName,
  snapshotNames,
} from './snapshot.ts';
export { parsePattern, TIME_TOKEN, type Pattern, type PatternPart, type TimeField } from './log4j/pattern.ts';
export type { LogFile, LogLayout } from './log4j/declarations.ts';
export { type LogPlan, type LogStream, parseLogPlan } from './log4j/log-plan.ts';
export { documentKeys } from './document.ts';
export type { Remark, RemarkKind } from './migration/remark.ts';
export { configValues, judgeConfigFile, judgeKey } from './migration/judge-file.ts';
export { judgeSnapshot } from './migration/judge-snapshot.ts';
