// The configuration as TorchServe shows it in its log at start (surface spec 7.4).
import { homedir } from 'node:os';
import type { Settings } from '../config/index.ts';
import { displayUrl } from '../kernel/index.ts';
import { configurationLines } from '../observe/index.ts';
import type { Machine } from './machine.ts';
import { SERVER_VERSION } from './version.ts';

export function configurationDump(settings: Settings, machine: Machine): readonly string[] {
  const { inference, management, metrics, models, workers, http, log, server, auth } = settings;
  const text = (key: string): string | undefined => settings.effective().find((value) => value.key === key)?.value;
  return configurationLines({
    'Torchserve version': SERVER_VERSION,
    'TS Home': text('model_server_home') ?? homedir(),
    'Current directory': server.cwd,
    'Temp directory': server.tempDir,
    'Metrics config path': metrics.configFile ?? 'built in',
    'Number of GPUs': machine.gpuCount,
    'Number of CPUs': machine.cpuBudget,
    'Max heap size': Math.floor(machine.memoryBytes / 2 ** 20),
    'Python executable': workers.python,
    'Config file': server.configFile,
    'Inference address': inference.address.text,
    'Management address': management.address.text,
    'Metrics address': metrics.address.text,
    'Model Store': models.stores.join(','),
    // A presigned URL in it is a credential.
    'Initial Models': text('load_models')?.split(',').map(displayUrl).join(','),
    'Log dir': log.dir,
    'Metrics dir': log.metricsDir,
    'Netty threads': text('number_of_netty_threads'),
    'Netty client threads': text('netty_client_threads'),
    'Default workers per model': workers.defaultPerModel,
    'Blacklist Regex': text('blacklist_env_vars'),
    'Maximum Response Size': http.maxResponseBytes,
    'Maximum Request Size': http.maxRequestBytes,
    'Limit Maximum Image Pixels': workers.limitsImagePixels,
    'Prefer direct buffer': text('prefer_direct_buffer'),
    'Allowed Urls': models.allowedUrls,
    'Custom python dependency for model allowed': models.installsPythonDependencies,
    'Enable metrics API': metrics.isEnabled,
    'Metrics mode': metrics.mode,
    'Disable system metrics': !metrics.collectsSystemMetrics,
    'Workflow Store': models.workflowStore,
    'CPP log config': text('cpp_log_config'),
    'Model config': text('models'),
    'System metrics command': metrics.systemMetricsCommand,
    'Model API enabled': auth.isModelApiEnabled,
  });
}
