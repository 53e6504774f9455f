// Keys of worker processes: how many, how long, with which interpreter, in which cage.
import { davyKey, torchserveKey } from '../key.ts';
import {
  byteCount,
  cpuBudget,
  integer,
  javaBoolean,
  nameList,
  oneOf,
  origin,
  plainText,
  refuse,
  strictBoolean,
  wholeNamePattern,
  type ValueParser,
} from '../value.ts';

const MiB = 1024 ** 2;

/** A limit that no worker can start under is a typo. */
function size(min: number, shown: string): ValueParser<number> {
  return {
    syntax: `${byteCount.syntax}; at least ${shown}`,
    parse(text, site) {
      const bytes = byteCount.parse(text, site);
      if (bytes >= min) return bytes;
      throw refuse(site, `must be at least ${shown}, found ${text}.`);
    },
  };
}

const webFolder: ValueParser<string> = {
  syntax: '`https://host/path/`',
  parse(text, site) {
    const url = URL.parse(text.endsWith('/') ? text : `${text}/`);
    if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href;
    throw refuse(site, 'must be an address such as https://packages.example.com/simple/, without credentials.');
  },
};

const originList: ValueParser<readonly string[]> = {
  syntax: 'origins with commas between them',
  parse: (text, site) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map((item) => origin.parse(item, site)),
};

export const WORKER_KEYS = {
  default_workers_per_model: torchserveKey(integer(0), {
    default: '0',
    doc: 'Workers of each model. 0: for models loaded at start one per GPU, else per CPU; for the register API none.',
  }),
  max_workers_per_model: davyKey(integer(1), {
    default: '128',
    doc: 'No register or scale request gets more workers than this.',
    isSecurity: true,
  }),
  default_response_timeout: torchserveKey(integer(1), {
    default: '120',
    doc: 'Seconds a worker may take for one batch.',
  }),
  default_startup_timeout: torchserveKey(integer(1), {
    default: '120',
    doc: 'Seconds a worker may take to load its model.',
  }),
  max_model_timeout: davyKey(integer(1), {
    doc: 'No archive and no request gets more seconds than this for loading or for a batch. Unset: as many as it asks for.',
    isSecurity: true,
  }),
  unregister_model_timeout: torchserveKey(integer(0), {
    default: '120',
    doc: 'Seconds an unregister waits for workers to end.',
  }),
  python: torchserveKey(plainText, {
    default: 'python3',
    env: null,
    doc: 'Interpreter of Python workers.',
    isSecurity: true,
  }),
  pip_index_url: davyKey(webFolder, {
    doc: 'Package index (its simple API) that `install_py_dep_per_model` gets wheels from. Unset: models with requirements do not load.',
    isSecurity: true,
    feature: 'pythonDependencies',
  }),
  pip_file_origins: davyKey(originList, {
    default: '',
    doc: 'Further origins, such as `https://files.example.com`, that the index’s files may lie at, with commas between them.',
    isSecurity: true,
    feature: 'pythonDependencies',
  }),
  isolation: davyKey(oneOf('strict', 'process', 'none'), {
    default: 'strict',
    doc: 'The cage of workers. The server refuses to start with less than is asked for here.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_memory_limit: davyKey(size(64 * MiB, '64m'), {
    doc: 'Memory of one worker and its children. Unset: four times the size of the model, at least 4g, at most four fifths of the machine.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_max_tasks: davyKey(integer(16), {
    doc: 'Processes and threads of one worker together. Unset: 96, and 8 for each of its CPU threads.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_cpus: davyKey(cpuBudget, {
    default: 'auto',
    doc: 'CPUs that one worker may keep busy, where cgroups can be written. `auto`: no limit beyond its thread count.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_max_file_size: davyKey(size(MiB, '1m'), {
    default: '512m',
    doc: 'The largest file that a worker may write.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_tmp_size: davyKey(size(MiB, '1m'), {
    default: '256m',
    doc: 'Size of a worker’s private `/tmp`, and of its `/dev/shm`.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_max_open_files: davyKey(integer(64), {
    default: '1024',
    doc: 'Files that each process of a worker may have open.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_output_rate: davyKey(size(1024, '1k'), {
    default: '1m',
    doc: 'Bytes per second of stdout and stderr that reach the log. What is more is dropped and counted; a flood is not even read.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_max_requests: davyKey(integer(0), {
    default: '0',
    doc: 'After this many requests a worker is replaced by a new one, without a pause. 0: never.',
    isSecurity: true,
  }),
  worker_first_uid: davyKey(integer(1000, 4_000_000), {
    default: '65000',
    doc: 'First of the 500 uids that workers get where the server is root. They must belong to nobody else.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_allow_subprocess: davyKey(strictBoolean, {
    default: 'true',
    doc: 'Lets handlers start child processes, inside their cage.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_allow_unix_sockets: davyKey(strictBoolean, {
    default: 'false',
    doc: 'Lets the processes of one worker open unix sockets among themselves, which hand over memory as descriptors then: faster for a `DataLoader(num_workers>0)` with large batches. At `strict` only.',
    isSecurity: true,
    feature: 'isolation',
  }),
  worker_env_allow: davyKey(nameList, {
    default: '',
    doc: 'Environment variables that workers see beside the built-in few, with commas between them.',
    isSecurity: true,
  }),
  blacklist_env_vars: torchserveKey(wholeNamePattern, {
    doc: 'Variables whose whole name matches are withheld from workers.',
    isSecurity: true,
  }),
  cpu_budget: davyKey(cpuBudget, {
    default: 'auto',
    doc: 'CPUs shared out over the threads of all workers. `auto`: what the machine or its cgroup grants.',
  }),
  number_of_gpu: torchserveKey(integer(0), {
    doc: 'At most this many GPUs are used.',
    feature: 'gpu',
  }),
  initial_worker_port: torchserveKey(integer(0), {
    default: '9000',
    doc: 'First worker id. (No port is opened.)',
  }),
  initial_distribution_port: torchserveKey(integer(0, 65_535), {
    default: '29500',
    doc: 'First rendezvous port of multi-process models.',
    feature: 'parallelModels',
  }),
  limit_max_image_pixels: torchserveKey(javaBoolean, {
    default: 'true',
    doc: 'Keeps Pillow’s limit on image size in the vision handlers.',
    isSecurity: true,
  }),
  decode_input_request: torchserveKey(javaBoolean, {
    default: 'true',
    doc: 'Hands JSON and text bodies to handlers decoded rather than as bytes.',
  }),
  ts_header_key_sequence_id: torchserveKey(plainText, {
    default: 'ts_request_sequence_id',
    env: 'TS_HEADER_KEY_SEQUENCE_ID',
    doc: 'Header that names the sequence of a request.',
    feature: 'sequences',
  }),
  ts_header_key_sequence_start: torchserveKey(plainText, {
    default: 'ts_request_sequence_start',
    env: 'TS_HEADER_KEY_SEQUENCE_START',
    doc: 'Header that starts a sequence.',
    feature: 'sequences',
  }),
  ts_header_key_sequence_end: torchserveKey(plainText, {
    default: 'ts_request_sequence_end',
    env: 'TS_HEADER_KEY_SEQUENCE_END',
    doc: 'Header that ends a sequence.',
    feature: 'sequences',
  }),
  ipex_enable: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Handlers see it as `TS_IPEX_ENABLE`; the default ones do not need the extension.',
  }),
  ipex_gpu_enable: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Handlers see it as `TS_IPEX_GPU_ENABLE`. Davy gives out NVIDIA GPUs only.',
  }),
  cpu_launcher_enable: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Starts workers under `torch.backends.xeon.run_cpu`.',
    feature: 'cpuLauncher',
  }),
  cpu_launcher_args: torchserveKey(plainText, {
    doc: 'Arguments of that launcher.',
    isSecurity: true,
    feature: 'cpuLauncher',
  }),
  debug: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Waits for workers that are started by hand; no timeouts.',
    isSecurity: true,
    feature: 'debugging',
  }),
};
