// What the composition root decides about HTTP, apart from sockets (see listener.ts for those).

export interface HttpOptions {
  /** Shown in the OpenAPI documents. */
  readonly serverVersion: string;
  /** `max_request_size`: bytes of one request body on any listener. */
  readonly maxRequestBytes: number;
  /** `torchserve` answers 400 to a refused key, `rfc` 401 and 403 (design 9). */
  readonly authFailureStatus: 'torchserve' | 'rfc';
  /** TorchServe's `/ping` needs the inference key; probes are why people switched its tokens off. */
  readonly doesPingRequireToken: boolean;
  /** True on any metrics listener that is not loopback (design 9). */
  readonly doMetricsRequireToken: boolean;
  /** `enable_model_api` (surface spec 6.9). */
  readonly isModelApiEnabled: boolean;
  /** `ts_open_inference_protocol` (surface spec 2.9). */
  readonly isOpenInferenceProtocolEnabled: boolean;
  /** Copied verbatim into every response; undefined or empty leaves the header out (surface spec 6.8). */
  readonly corsAllowedOrigin: string | undefined;
  readonly corsAllowedMethods: string | undefined;
  readonly corsAllowedHeaders: string | undefined;
  /** `ts_header_key_sequence_id` and `_start`: the first is read as written, the second can only be set by the server. */
  readonly sequenceIdHeader: string;
  readonly sequenceStartHeader: string;
  /** Bytes of a streamed answer that may wait for a slow reader before the connection is cut. */
  readonly maxStreamBufferBytes: number;
  /** Milliseconds without any progress of a blocked write before the connection is cut. */
  readonly writeTimeoutMs: number;
  /** Bytes of request bodies that one door holds at a time, over all connections; and as many of answers nobody has read. */
  readonly maxBufferedBytes: number;
}

export const DEFAULT_HTTP_OPTIONS: HttpOptions = {
  serverVersion: '0.0.0',
  maxRequestBytes: 6_553_500,
  authFailureStatus: 'torchserve',
  doesPingRequireToken: false,
  doMetricsRequireToken: false,
  isModelApiEnabled: false,
  isOpenInferenceProtocolEnabled: false,
  corsAllowedOrigin: undefined,
  corsAllowedMethods: undefined,
  corsAllowedHeaders: undefined,
  sequenceIdHeader: 'ts_request_sequence_id',
  sequenceStartHeader: 'ts_request_sequence_start',
  // A dozen pieces of the largest size a worker may send by default.
  maxStreamBufferBytes: 64 * 1024 * 1024,
  // TCP keeps a dead peer's socket for minutes; half a minute without one acknowledged byte is no reader.
  writeTimeoutMs: 30_000,
  // 80 bodies of the default maximum. What is queued behind it is bounded by the data path itself.
  maxBufferedBytes: 512 * 1024 * 1024,
};
