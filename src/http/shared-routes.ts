// Routes that every listener has, and what the tables need to say often.
import { Fault } from '../kernel/index.ts';
import { OPEN, scoped, type Permission, type Verb } from '../policy/index.ts';
import type { Answer } from './door.ts';
import type { Params, Route } from './route-table.ts';

/** The verb on the model that the path names; on no model in particular where it names none. */
export function needs(verb: Verb): (params: Params) => Permission {
  return ({ model }) => scoped(verb, model === '' ? undefined : model);
}

export const isOpen = (): Permission => OPEN;

export const notFound: Answer = () => {
  throw new Fault('resource_not_found', 'Requested resource is not found, please refer to API document.');
};

export const methodNotAllowed: Answer = () => {
  throw new Fault('method_not_allowed', 'Requested method is not allowed, please refer to API document.');
};

/** `OPTIONS /` and `/api-description` need no key on any listener (surface spec 1.3, 2.1). */
export function descriptionRoutes(document: () => unknown): Route<Answer>[] {
  const describe: Answer = (exchange) => exchange.json(200, document());
  return [
    { methods: ['OPTIONS'], pattern: '/', operation: 'describe_api', permission: isOpen, answer: describe },
    { methods: 'any', pattern: '/', operation: 'describe_api', permission: isOpen, answer: methodNotAllowed },
    { methods: 'any', pattern: '/api-description', operation: 'describe_api', permission: isOpen, answer: describe },
  ];
}

/** What stands for every path that no route names. */
export function fallback(permission: Route<Answer>['permission']): Route<Answer> {
  return { methods: 'any', pattern: '/', operation: 'unknown', permission, answer: notFound };
}
