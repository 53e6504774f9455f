// One row of the key table: everything Davy knows about one configuration key.
import type { Feature } from './features.ts';
import type { ValueParser, ValueSite } from './value.ts';

export interface Key<T> {
  readonly syntax: string;
  /** As one would write it in the file; undefined: unset unless given. */
  readonly defaultText: string | undefined;
  /** Environment variable where the name breaks the rule of `environmentName`; null: none. */
  readonly env: string | null | undefined;
  /** Read even without `enable_envvars_config=true` (surface spec 7.3). */
  readonly isEnvAlwaysRead: boolean;
  /** Davy's own, unknown to TorchServe. */
  readonly isOwn: boolean;
  /** A snapshot can never set it. */
  readonly isSecurity: boolean;
  readonly isSecret: boolean;
  /** What the key needs; undefined: nothing beyond the server itself. */
  readonly feature: Feature | undefined;
  readonly doc: string;
  /** `text` undefined: not given and without a default. */
  read(text: string | undefined, site: ValueSite): T;
}

export interface KeyFacts {
  readonly doc: string;
  readonly default?: string;
  readonly env?: string | null;
  readonly isEnvAlwaysRead?: true;
  readonly isSecurity?: true;
  readonly isSecret?: true;
  readonly feature?: Feature;
}

type KeyMaker = {
  <T>(parser: ValueParser<T>, facts: KeyFacts & { readonly default: string }): Key<T>;
  <T>(parser: ValueParser<T>, facts: KeyFacts): Key<T | undefined>;
};

/** A key of TorchServe (surface spec 7.4). */
export const torchserveKey: KeyMaker = (parser: ValueParser<unknown>, facts: KeyFacts) =>
  makeKey(parser, facts, false) as never;

/** A key of Davy's own. */
export const davyKey: KeyMaker = (parser: ValueParser<unknown>, facts: KeyFacts) =>
  makeKey(parser, facts, true) as never;

/** The environment variable of a key: `TS_JOB_QUEUE_SIZE`, `DAVY_MAX_QUEUE_BYTES`; undefined: none. */
export function environmentName(name: string, { env, isOwn }: Key<unknown>): string | undefined {
  return env === undefined ? (isOwn ? 'DAVY_' : 'TS_') + name.toUpperCase() : (env ?? undefined);
}

function makeKey(parser: ValueParser<unknown>, facts: KeyFacts, isOwn: boolean): Key<unknown> {
  const isOptional = facts.default === undefined;
  return {
    syntax: parser.syntax,
    defaultText: facts.default,
    env: facts.env,
    isEnvAlwaysRead: facts.isEnvAlwaysRead ?? false,
    isOwn,
    isSecurity: facts.isSecurity ?? false,
    isSecret: facts.isSecret ?? false,
    feature: facts.feature,
    doc: facts.doc,
    // `key=` means "not set" for a key that may be unset.
    read: (text, site) => (text === undefined || (isOptional && text === '') ? undefined : parser.parse(text, site)),
  };
}
