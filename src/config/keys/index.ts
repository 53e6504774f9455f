// The key table: one row per configuration key. Parsing, `davy config` and docs/configuration.md are all derived from it.
import type { Key } from '../key.ts';
import { ACCESS_KEYS, LIMIT_KEYS, LISTENER_KEYS, SOURCE_KEYS, TLS_KEYS } from './doors.ts';
import { MODEL_KEYS, QUEUE_KEYS } from './models.ts';
import { JVM_KEYS, METRICS_KEYS, SERVER_KEYS } from './operation.ts';
import { WORKER_KEYS } from './workers.ts';

export const KEYS = {
  ...SOURCE_KEYS,
  ...LISTENER_KEYS,
  ...LIMIT_KEYS,
  ...TLS_KEYS,
  ...ACCESS_KEYS,
  ...MODEL_KEYS,
  ...QUEUE_KEYS,
  ...WORKER_KEYS,
  ...METRICS_KEYS,
  ...SERVER_KEYS,
  ...JVM_KEYS,
};

export type KeyName = keyof typeof KEYS;

/** The typed value of every key. */
export type Values = { readonly [K in KeyName]: (typeof KEYS)[K] extends Key<infer T> ? T : never };

export const KEY_NAMES = Object.keys(KEYS) as readonly KeyName[];

export const isKeyName = (text: string): text is KeyName => Object.hasOwn(KEYS, text);

/** Sections of the documentation, in its order. */
export const KEY_GROUPS: readonly { readonly title: string; readonly keys: Readonly<Record<string, Key<unknown>>> }[] =
  [
    { title: 'Sources', keys: SOURCE_KEYS },
    { title: 'Listeners', keys: LISTENER_KEYS },
    { title: 'Limits', keys: LIMIT_KEYS },
    { title: 'TLS', keys: TLS_KEYS },
    { title: 'Access', keys: ACCESS_KEYS },
    { title: 'Models', keys: MODEL_KEYS },
    { title: 'Queues', keys: QUEUE_KEYS },
    { title: 'Workers', keys: WORKER_KEYS },
    { title: 'Metrics', keys: METRICS_KEYS },
    { title: 'Server', keys: SERVER_KEYS },
    { title: 'Without effect', keys: JVM_KEYS },
  ];
