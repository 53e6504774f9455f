// The metrics listener (surface spec 4.1).
import type { MetricsExposition } from '../serving/index.ts';
import type { Answer } from './door.ts';
import { metricsApi } from './openapi.ts';
import type { HttpOptions } from './options.ts';
import type { Route } from './route-table.ts';
import { descriptionRoutes, isOpen, needs } from './shared-routes.ts';

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Open on loopback, as TorchServe's; a key with `metrics` elsewhere (design 9). */
export function metricsPermission(options: HttpOptions): Route<Answer>['permission'] {
  return options.doMetricsRequireToken ? needs('metrics') : isOpen;
}

export function metricsRoutes(metrics: MetricsExposition, options: HttpOptions): Route<Answer>[] {
  return [
    ...descriptionRoutes(() => metricsApi(options.serverVersion)),
    {
      methods: 'any',
      pattern: '/metrics',
      operation: 'metrics',
      permission: metricsPermission(options),
      answer(exchange) {
        const names = exchange.query.all('name[]');
        exchange.text(200, CONTENT_TYPE, metrics.render(names.length === 0 ? undefined : names));
      },
    },
  ];
}
