// Who may do what: scopes of the form `verb:model-pattern`, and the one function that compares them with a permission.
import { Fault } from '../kernel/index.ts';

/**
 * `infer` runs models, `read` looks at them, `manage` changes what is served, `token` rotates keys,
 * `metrics` reads the metrics of a listener that is not loopback.
 */
export const VERBS = ['infer', 'read', 'manage', 'token', 'metrics'] as const;
export type Verb = (typeof VERBS)[number];

/** What a route asks of its caller. `open` is spelled out, so that no route is open by omission. */
export type Permission =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'scoped';
      readonly verb: Verb;
      /** Undefined: no model is touched, any scope with the verb will do. `*`: every model is touched. */
      readonly model: string | undefined;
    };

/** `pattern` is an exact model name, or a prefix followed by one `*` at the end. */
export interface Scope {
  readonly verb: Verb;
  readonly pattern: string;
}

/** An identity behind a key. `id` is what logs and audit lines show. */
export interface Principal {
  readonly id: string;
  readonly scopes: readonly Scope[];
}

export const OPEN: Permission = { kind: 'open' };
export const ANONYMOUS: Principal = { id: 'anonymous', scopes: [] };

export function scoped(verb: Verb, model?: string): Permission {
  return { kind: 'scoped', verb, model };
}

export function permits(principal: Principal, permission: Permission): boolean {
  if (permission.kind === 'open') return true;
  for (const scope of principal.scopes) {
    if (scope.verb === permission.verb && covers(scope.pattern, permission.model)) return true;
  }
  return false;
}

/** Reads `verb:pattern`. Throws Fault `invalid_configuration`. */
export function parseScope(text: string): Scope {
  const colon = text.indexOf(':');
  const verb = VERBS.find((known) => known === text.slice(0, Math.max(colon, 0)));
  const pattern = text.slice(colon + 1);
  const star = pattern.indexOf('*');
  if (verb === undefined || pattern === '' || (star >= 0 && star !== pattern.length - 1)) {
    throw new Fault(
      'invalid_configuration',
      `Scope "${text}" is not of the form verb:model, with a verb of ${VERBS.join(', ')} and a model name, a prefix ending in *, or *.`,
    );
  }
  return { verb, pattern };
}

function covers(pattern: string, model: string | undefined): boolean {
  if (model === undefined || pattern === '*') return true;
  // A pattern with a prefix never covers the question "all models", which is asked as `*`.
  if (model === '*') return false;
  return pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : model === pattern;
}
