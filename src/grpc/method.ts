// How a method is declared: its path, who may call it, and what it does. Nothing runs that is not declared so.
import { fromBinary, toBinary, type DescMessage, type DescMethod, type MessageShape } from '@bufbuild/protobuf';
import { Fault, toFault } from '../kernel/index.ts';
import { OPEN, type Permission, type Principal } from '../policy/index.ts';
import { CODE, OK, type CallHandler, type GrpcStatus, type Message, type ServerCall } from './transport.ts';
import { hasFewEntries, MAX_ENTRIES } from './entry-limit.ts';
import { wellTyped } from './well-typed.ts';

/** An admitted call. */
export interface Caller {
  readonly call: ServerCall;
  readonly principal: Principal;
  /** Set by a unary method that has something to stop when the client goes away. */
  onCancel?: () => void;
}

export interface Method {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** What the method does, for the audit log. */
  readonly operation: string;
  /** Asked before the first message is read; a model named in the message is asked about by the method itself. */
  readonly permission: Permission;
  open(caller: Caller): CallHandler;
}

export type StatusOfFault = (fault: Fault) => GrpcStatus;

export const pathOf = (method: DescMethod, service: string = method.parent.typeName): string =>
  `/${service}/${method.name}`;

/** One message in; the method ends the call itself, or by throwing a Fault. */
export abstract class SingleRequest implements CallHandler {
  protected readonly call: ServerCall;
  readonly #statusOf: StatusOfFault;
  #hasMessage = false;

  constructor(call: ServerCall, statusOf: StatusOfFault) {
    this.call = call;
    this.#statusOf = statusOf;
  }

  protected abstract onRequest(message: Message): void;

  onMessage(message: Message): void {
    if (this.#hasMessage) {
      this.call.end({ code: CODE.internal, message: 'Too many requests' });
      this.onCancel();
      return;
    }
    this.#hasMessage = true;
    try {
      this.onRequest(message);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  onHalfClose(): void {
    if (!this.#hasMessage) this.call.end({ code: CODE.internal, message: 'Half-closed without a request' });
  }

  onCancel(): void {
    // Most methods have nothing running that could be stopped.
  }

  protected fail(thrown: unknown): void {
    this.call.end(thrown instanceof UnreadableMessage ? UNREADABLE : this.#statusOf(toFault(thrown)));
  }
}

/** A method that answers one message with one message. */
export function unary<Input extends DescMessage, Output extends DescMessage>(
  declared: { readonly input: Input; readonly output: Output } & DescMethod,
  rest: UnaryOptions,
  work: (request: MessageShape<Input>, caller: Caller) => MessageShape<Output> | Promise<MessageShape<Output>>,
): Method {
  return unaryOf(declared, rest, (message) => decode(declared.input, message), work);
}

export interface UnaryOptions {
  /** Where it is not the one that declares the method. */
  readonly service?: string;
  readonly operation: string;
  readonly permission: Permission;
  readonly statusOf: StatusOfFault;
}

/** A method whose message is read in a way of its own; `read` throws as `decode` does. */
export function unaryOf<Request, Output extends DescMessage>(
  declared: { readonly output: Output } & DescMethod,
  rest: UnaryOptions,
  read: (message: Message) => Request,
  work: (request: Request, caller: Caller) => MessageShape<Output> | Promise<MessageShape<Output>>,
): Method {
  const { operation, permission, statusOf } = rest;
  class Unary extends SingleRequest {
    readonly isProbe = permission === OPEN;
    readonly #caller: Caller;
    constructor(caller: Caller) {
      super(caller.call, statusOf);
      this.#caller = caller;
    }
    protected override onRequest(message: Message): void {
      const answer = work(read(message), this.#caller);
      if (!(answer instanceof Promise)) return this.#answer(answer);
      answer.then((value) => this.#answer(value)).catch((thrown: unknown) => this.fail(thrown));
    }
    override onCancel(): void {
      this.#caller.onCancel?.();
    }
    #answer(value: MessageShape<Output>): void {
      sendMessage(this.call, declared.output, value);
      this.call.end(OK);
    }
  }
  return { path: pathOf(declared, rest.service), operation, permission, open: (caller) => new Unary(caller) };
}

export function sendMessage<Output extends DescMessage>(
  call: ServerCall,
  schema: Output,
  value: MessageShape<Output>,
): void {
  const bytes = toBinary(schema, value);
  call.send([bytes], bytes.length);
}

/** Throws UnreadableMessage for bytes that are no such message, and Fault `bad_request` for too many fields. */
export function decode<Input extends DescMessage>(schema: Input, { pieces }: Message): MessageShape<Input> {
  try {
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    if (!hasFewEntries(schema, bytes)) throw new Fault('bad_request', TOO_MANY_ENTRIES);
    return fromBinary(schema, wellTyped(schema, bytes), { readUnknownFields: false });
  } catch (thrown) {
    throw unreadable(thrown);
  }
}

const TOO_MANY_ENTRIES = `A message has at most ${MAX_ENTRIES} fields.`;

/** What every gRPC implementation answers to bytes it cannot read; no Fault, because no other protocol has it. */
export class UnreadableMessage extends Error {}

/** What a reader throws where it finds no protobuf, or the end too early, would tell the sender only about its own bytes. */
export const unreadable = (thrown: unknown): Error => (thrown instanceof Fault ? thrown : new UnreadableMessage());

const UNREADABLE: GrpcStatus = { code: CODE.internal, message: 'The request is not a valid protobuf message' };
