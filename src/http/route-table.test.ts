import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OPEN } from '../policy/index.ts';
import { RouteTable, type Route } from './route-table.ts';

describe('the route table', () => {
  const table = tableOf([
    ['any', '/predictions/{model}'],
    ['any', '/predictions/{model}/{version}'],
    ['any', '/predictions/{model}/{version}/{rest...}'],
    ['GET', '/models/{model}'],
    ['any', '/v1/models/{model}:predict'],
    ['any', '/{model}/predict'],
    ['any', '/'],
  ]);

  test('captures model, version and the rest', () => {
    assert.deepEqual(seen(table, 'POST', '/predictions/m/1.0/v1/chat'), [
      '/predictions/{model}/{version}/{rest...}',
      { model: 'm', version: '1.0', rest: 'v1/chat' },
    ]);
    assert.deepEqual(seen(table, 'GET', '/v1/models/a:b:predict'), [
      '/v1/models/{model}:predict',
      { model: 'a:b', version: undefined, rest: '' },
    ]);
    assert.deepEqual(seen(table, 'GET', '/v1/models/m:predictions')[1], { model: 'm', version: undefined, rest: '' });
  });

  test('lets a literal first segment win over a parameter', () => {
    assert.equal(seen(table, 'GET', '/predictions/predict')[0], '/predictions/{model}');
    assert.equal(seen(table, 'GET', '/models/predict')[0], '/models/{model}');
    assert.equal(seen(table, 'GET', '/mine/predict')[0], '/{model}/predict');
  });

  test('answers a known path with another method by its own permission and the 405', () => {
    const match = table.find('PUT', ['models', 'm']);
    assert.equal(match.route.pattern, '/models/{model}');
    assert.equal(match.route.answer, 'method not allowed');
  });

  test('sends everything else to the fallback', () => {
    for (const path of ['/predictions', '/predictions//x/y/z/', '/v1/models/:predict', '/nowhere', '/PREDICTIONS/m']) {
      assert.equal(table.find('GET', segmentsOf(path)).route.pattern, 'fallback', path);
    }
    assert.equal(table.find('GET', undefined).route.pattern, 'fallback');
    assert.equal(table.find('GET', []).route.pattern, '/');
  });

  test('cannot be built with a route that has no permission', () => {
    const route = { methods: 'any', pattern: '/x', operation: 'x', answer: 'x' } as unknown as Route<string>;
    assert.throws(() => new RouteTable([route], routeOf('any', 'fallback'), ''), TypeError);
  });

  test('cannot be built with a pattern it does not understand', () => {
    assert.throws(() => tableOf([['any', '/{other}']]), TypeError);
  });
});

function tableOf(routes: readonly (readonly ['any' | 'GET', string])[]): RouteTable<string> {
  const all = routes.map(([method, pattern]) => routeOf(method, pattern));
  return new RouteTable(all, routeOf('any', 'fallback'), 'method not allowed');
}

function routeOf(method: 'any' | 'GET', pattern: string): Route<string> {
  const methods = method === 'any' ? 'any' : [method];
  return { methods, pattern, operation: 'x', permission: () => OPEN, answer: 'found' };
}

function seen(table: RouteTable<string>, method: string, path: string): readonly [string, object] {
  const { route, params } = table.find(method, segmentsOf(path));
  return [route.pattern, params];
}

const segmentsOf = (path: string): string[] => path.split('/').slice(1);
