// A gRPC client for tests: grpc-js, driven by the generated messages.
import { fromBinary, toBinary, type DescMessage, type DescMethod, type MessageShape } from '@bufbuild/protobuf';
import {
  Client,
  credentials,
  Metadata,
  type CallOptions,
  type ChannelCredentials,
  type ServiceError,
} from '@grpc/grpc-js';

type Declared<Input extends DescMessage, Output extends DescMessage> = {
  readonly input: Input;
  readonly output: Output;
} & DescMethod;

export interface CallSettings {
  readonly key?: string;
  readonly options?: CallOptions;
  /** Calls the method under another service name. */
  readonly service?: string;
  /** Bytes that follow the message, for what no client library writes. */
  readonly junk?: Uint8Array;
}

export class GrpcClient implements Disposable {
  readonly #client: Client;

  constructor(port: number, secure: ChannelCredentials = credentials.createInsecure()) {
    // A pool of its own: channels of other tests must not be shared.
    this.#client = new Client(`127.0.0.1:${port}`, secure, {
      'grpc.use_local_subchannel_pool': 1,
      // TLS takes no IP address as a server's name.
      'grpc.ssl_target_name_override': 'localhost',
    });
  }

  unary<Input extends DescMessage, Output extends DescMessage>(
    method: Declared<Input, Output>,
    request: MessageShape<Input>,
    settings: CallSettings = {},
  ): Promise<MessageShape<Output>> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        ...wire(method, settings),
        request,
        metadata(settings),
        settings.options ?? {},
        (error: ServiceError | null, response?: MessageShape<Output>) =>
          error === null && response !== undefined ? resolve(response) : reject(error),
      );
    });
  }

  serverStream<Input extends DescMessage, Output extends DescMessage>(
    method: Declared<Input, Output>,
    request: MessageShape<Input>,
    settings: CallSettings = {},
  ) {
    return this.#client.makeServerStreamRequest(
      ...wire(method, settings),
      request,
      metadata(settings),
      settings.options ?? {},
    );
  }

  bidirectional<Input extends DescMessage, Output extends DescMessage>(
    method: Declared<Input, Output>,
    settings: CallSettings = {},
  ) {
    return this.#client.makeBidiStreamRequest(...wire(method, settings), metadata(settings), settings.options ?? {});
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function wire<Input extends DescMessage, Output extends DescMessage>(
  method: Declared<Input, Output>,
  { service, junk = new Uint8Array() }: CallSettings,
) {
  return [
    `/${service ?? method.parent.typeName}/${method.name}`,
    (message: MessageShape<Input>) => Buffer.concat([toBinary(method.input, message), junk]),
    (bytes: Buffer) => fromBinary(method.output, bytes),
  ] as const;
}

function metadata({ key }: CallSettings): Metadata {
  const found = new Metadata();
  if (key !== undefined) found.set('authorization', `Bearer ${key}`);
  return found;
}
