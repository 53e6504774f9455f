// The lines of a start: TorchServe's configuration dump (surface spec 7.4) and its token banner (6.1).

/** What the dump shows, in its order. Undefined prints `N/A`. */
export const CONFIGURATION_ITEMS = [
  'Torchserve version',
  'TS Home',
  'Current directory',
  'Temp directory',
  'Metrics config path',
  'Number of GPUs',
  'Number of CPUs',
  'Max heap size',
  'Python executable',
  'Config file',
  'Inference address',
  'Management address',
  'Metrics address',
  'Model Store',
  'Initial Models',
  'Log dir',
  'Metrics dir',
  'Netty threads',
  'Netty client threads',
  'Default workers per model',
  'Blacklist Regex',
  'Maximum Response Size',
  'Maximum Request Size',
  'Limit Maximum Image Pixels',
  'Prefer direct buffer',
  'Allowed Urls',
  'Custom python dependency for model allowed',
  'Enable metrics API',
  'Metrics mode',
  'Disable system metrics',
  'Workflow Store',
  'CPP log config',
  'Model config',
  'System metrics command',
  'Model API enabled',
] as const;

export type ConfigurationItem = (typeof CONFIGURATION_ITEMS)[number];
export type ConfigurationFacts = Readonly<
  Partial<Record<ConfigurationItem, string | number | boolean | readonly string[] | undefined>>
>;

/** One line for each item: `Inference address: http://127.0.0.1:8080`, `Allowed Urls: [a, b]`, `Max heap size: 4096 M`. */
export function configurationLines(facts: ConfigurationFacts): readonly string[] {
  return CONFIGURATION_ITEMS.map((item) => `${item}: ${valueText(item, facts[item])}`);
}

export function tokenBannerLines(keyFile: string): readonly string[] {
  return [
    'TorchServe now enforces token authorization by default.',
    'This requires the correct token to be provided when calling an API.',
    `Key file located at ${keyFile}`,
  ];
}

function valueText(item: ConfigurationItem, value: ConfigurationFacts[ConfigurationItem]): string {
  if (value === undefined || value === '') return 'N/A';
  if (typeof value === 'object') return `[${value.join(', ')}]`;
  return item === 'Max heap size' ? `${value} M` : String(value);
}
