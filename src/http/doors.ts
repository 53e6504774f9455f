// The four kinds of listener: which table of routes each one serves.
import { systemClock, type Clock } from '../kernel/index.ts';
import type { Gate } from '../policy/index.ts';
import type { Announcements, MetricsExposition } from '../serving/index.ts';
import { Door, type Answer } from './door.ts';
import { MODELS_WITHOUT_MANAGEMENT, inferenceRoutes, type InferencePorts } from './inference-routes.ts';
import { managementRoutes, type ManagementPorts } from './management-routes.ts';
import { metricsPermission, metricsRoutes } from './metrics-routes.ts';
import type { HttpOptions } from './options.ts';
import { RouteTable, type Route } from './route-table.ts';
import { fallback, methodNotAllowed, needs } from './shared-routes.ts';

export interface DoorDeps {
  readonly gate: Gate;
  readonly options: HttpOptions;
  readonly announcements: Announcements;
  readonly clock?: Clock;
}

export type InferenceDoorDeps = DoorDeps & InferencePorts;
export type ManagementDoorDeps = DoorDeps & ManagementPorts;
export type MetricsDoorDeps = DoorDeps & { readonly metrics: MetricsExposition };
export type CombinedDoorDeps = InferenceDoorDeps &
  ManagementPorts & { readonly metrics: MetricsExposition | undefined };

export function createInferenceDoor(deps: InferenceDoorDeps): Door {
  const routes = [...inferenceRoutes(deps, deps.gate, deps.options), MODELS_WITHOUT_MANAGEMENT];
  return doorOf('inference', routes, fallback(needs('infer')), deps);
}

export function createManagementDoor(deps: ManagementDoorDeps): Door {
  const routes = managementRoutes(deps, deps.gate, deps.options, deps.announcements);
  return doorOf('management', routes, fallback(needs('read')), deps);
}

export function createMetricsDoor(deps: MetricsDoorDeps): Door {
  return doorOf('metrics', metricsRoutes(deps.metrics, deps.options), fallback(metricsPermission(deps.options)), deps);
}

/** One address for everything: the route that matches decides which key is wanted (surface spec 1.4, design 9). */
export function createCombinedDoor(deps: CombinedDoorDeps): Door {
  const routes = [
    ...inferenceRoutes(deps, deps.gate, deps.options),
    ...managementRoutes(deps, deps.gate, deps.options, deps.announcements),
    ...(deps.metrics ? metricsRoutes(deps.metrics, deps.options) : []),
  ];
  return doorOf('inference', routes, fallback(needs('infer')), deps);
}

function doorOf(name: Door['name'], routes: readonly Route<Answer>[], rest: Route<Answer>, deps: DoorDeps): Door {
  const { gate, options, announcements, clock = systemClock } = deps;
  const table = new RouteTable(routes, rest, methodNotAllowed);
  return new Door({ name, table, gate, options, announcements, clock });
}
