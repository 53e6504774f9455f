// Keys of everything a client can reach: listeners, limits, TLS, authorisation.
import { davyKey, torchserveKey } from '../key.ts';
import {
  address,
  hostList,
  integer,
  javaBoolean,
  oipSwitch,
  oneOf,
  path,
  plainText,
  secretText,
  strictBoolean,
  tokenLifetime,
} from '../value.ts';

const MAX_PORT = 65_534;
const INT32_MAX = 2 ** 31 - 1;

const ageKey = (doc: string) => torchserveKey(integer(1), { doc, feature: 'grpc' });

export const LISTENER_KEYS = {
  inference_address: torchserveKey(address('inference'), {
    default: 'http://127.0.0.1:8080',
    doc: 'Where predictions are served.',
    isSecurity: true,
  }),
  management_address: torchserveKey(address('management'), {
    default: 'http://127.0.0.1:8081',
    doc: 'Where models are managed. Equal to `inference_address`: one listener serves both.',
    isSecurity: true,
  }),
  metrics_address: torchserveKey(address('metrics'), {
    default: 'http://127.0.0.1:8082',
    doc: 'Where Prometheus scrapes.',
    isSecurity: true,
  }),
  allowed_hosts: davyKey(hostList, {
    default: '',
    doc: 'Further names under which clients may call a loopback listener; others are refused, against DNS rebinding.',
    isSecurity: true,
  }),
  insecure_bind: davyKey(strictBoolean, {
    default: 'false',
    doc: 'Allows clear text on addresses other than loopback, for listeners behind a proxy that terminates TLS.',
    isSecurity: true,
  }),
  grpc_enabled: davyKey(strictBoolean, {
    default: 'true',
    doc: 'Starts the two gRPC servers.',
    isSecurity: true,
    feature: 'grpc',
  }),
  grpc_inference_address: torchserveKey(plainText, {
    default: '127.0.0.1',
    doc: 'Host of the gRPC inference server.',
    isSecurity: true,
    feature: 'grpc',
  }),
  grpc_management_address: torchserveKey(plainText, {
    default: '127.0.0.1',
    doc: 'Host of the gRPC management server.',
    isSecurity: true,
    feature: 'grpc',
  }),
  grpc_inference_port: torchserveKey(integer(0, MAX_PORT), {
    default: '7070',
    doc: 'Port of the gRPC inference server.',
    feature: 'grpc',
  }),
  grpc_management_port: torchserveKey(integer(0, MAX_PORT), {
    default: '7071',
    doc: 'Port of the gRPC management server.',
    feature: 'grpc',
  }),
  grpc_inference_max_connection_age_ms: ageKey('A gRPC inference connection older than this is asked to close.'),
  grpc_management_max_connection_age_ms: ageKey('A gRPC management connection older than this is asked to close.'),
  grpc_inference_max_connection_age_grace_ms: ageKey('How long calls on such a connection may go on.'),
  grpc_management_max_connection_age_grace_ms: ageKey('How long calls on such a connection may go on.'),
  ts_open_inference_protocol: torchserveKey(oipSwitch, {
    default: 'false',
    env: 'TS_OPEN_INFERENCE_PROTOCOL',
    isEnvAlwaysRead: true,
    doc: 'Serves the Open Inference Protocol (KServe v2) beside TorchServe’s.',
    feature: 'openInference',
  }),
};

export const LIMIT_KEYS = {
  max_request_size: torchserveKey(integer(1, INT32_MAX), {
    default: '6553500',
    doc: 'Bytes of one request body, over HTTP and gRPC.',
  }),
  max_response_size: torchserveKey(integer(1, INT32_MAX), {
    default: '6553500',
    doc: 'Bytes of one answer of a worker.',
  }),
  max_connections: davyKey(integer(1), {
    default: '4096',
    doc: 'Open connections per listener; a newcomer to a full listener takes the place of an idle connection of whoever holds the most, or is closed at once.',
  }),
  header_timeout: davyKey(integer(1), {
    default: '10',
    doc: 'Seconds a client may take to send the request line and headers.',
  }),
  body_timeout: davyKey(integer(1), {
    default: '120',
    doc: 'Seconds a client may take to send a whole request.',
  }),
  idle_timeout: davyKey(integer(1), {
    default: '75',
    doc: 'Seconds a connection may stay open between two requests.',
  }),
};

export const TLS_KEYS = {
  keystore: torchserveKey(path, {
    doc: 'PKCS12 or JKS keystore for TLS.',
    isSecurity: true,
    feature: 'tls',
  }),
  keystore_pass: torchserveKey(secretText, {
    default: 'changeit',
    doc: 'Password of the keystore and of the key in it.',
    isSecurity: true,
    isSecret: true,
    feature: 'tls',
  }),
  keystore_type: torchserveKey(plainText, {
    default: 'PKCS12',
    doc: '`PKCS12` or `JKS`.',
    isSecurity: true,
    feature: 'tls',
  }),
  private_key_file: torchserveKey(path, {
    doc: 'PEM private key, used together with `certificate_file` when there is no keystore.',
    isSecurity: true,
    feature: 'tls',
  }),
  certificate_file: torchserveKey(path, {
    doc: 'PEM certificate, may hold a chain.',
    isSecurity: true,
    feature: 'tls',
  }),
  client_ca_file: davyKey(path, {
    doc: 'PEM certificates of the authorities whose client certificates every TLS listener then demands.',
    isSecurity: true,
    feature: 'tls',
  }),
  enable_grpc_ssl: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'TLS on the gRPC servers, from the PEM pair, or else from the keystore.',
    isSecurity: true,
    feature: 'grpc',
  }),
};

export const ACCESS_KEYS = {
  disable_token_authorization: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Serves everybody who can connect. Flag `--disable-token-auth`, which can only disable.',
    isSecurity: true,
  }),
  token_expiration_min: torchserveKey(tokenLifetime, {
    default: '60',
    env: 'TS_TOKEN_EXPIRATION_TIME_MIN',
    doc: 'Lifetime in minutes of the inference and management keys in `key_file.json`.',
    isSecurity: true,
  }),
  enable_model_api: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Lets clients register and unregister models. Flag `--enable-model-api`, which can only enable.',
    isSecurity: true,
  }),
  auth_failure_status: davyKey(oneOf('torchserve', 'rfc'), {
    default: 'torchserve',
    doc: 'Status of refused requests on TorchServe’s routes: its 400, or 401 and 403.',
  }),
  ping_requires_token: davyKey(strictBoolean, {
    default: 'false',
    doc: 'Asks for the inference key on `/ping` too, as TorchServe does.',
    isSecurity: true,
  }),
  cors_allowed_origin: torchserveKey(plainText, {
    default: '',
    doc: 'Copied into `access-control-allow-origin` of every response.',
    isSecurity: true,
    feature: 'cors',
  }),
  cors_allowed_methods: torchserveKey(plainText, {
    default: '',
    doc: 'Copied into `access-control-allow-methods`.',
    isSecurity: true,
    feature: 'cors',
  }),
  cors_allowed_headers: torchserveKey(plainText, {
    default: '',
    doc: 'Copied into `access-control-allow-headers`.',
    isSecurity: true,
    feature: 'cors',
  }),
};

/** The file-only switches that decide whether the environment is asked at all (surface spec 7.3). */
export const SOURCE_KEYS = {
  enable_envvars_config: torchserveKey(javaBoolean, {
    default: 'false',
    env: null,
    doc: 'Lets the environment variables of this page override file and flags. Counts only in the file.',
    isSecurity: true,
  }),
  use_env_allowed_urls: torchserveKey(javaBoolean, {
    default: 'false',
    env: null,
    doc: 'Lets `TS_ALLOWED_URLS` count as well. Counts only in the file.',
    isSecurity: true,
  }),
};
