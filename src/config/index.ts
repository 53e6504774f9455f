// Configuration: properties file, environment and flags in; one frozen Settings with the origin of every value out. Pure.
export type {
  Address,
  EffectiveValue,
  GrpcListener,
  IsolationLevel,
  ModelDefaults,
  Origin,
  Settings,
  StartupModel,
  StartupModels,
} from './settings.ts';
