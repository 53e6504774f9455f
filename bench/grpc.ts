// CPU of the server for one unary gRPC call, against the same request over HTTP and against the grpc-js server: the data
// path is a stub that answers at once, so that only the doors are measured. Interleaved rounds; the client is another process.
//   node tools/launch.js bench/grpc.ts [rounds]
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, Metadata, Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import {
  InferenceAPIsService,
  PredictionResponseSchema,
  PredictionsRequestSchema,
} from '../src/grpc/gen/inference_pb.ts';
import { openGrpcListeners } from '../src/grpc/index.ts';
import { DEFAULT_HTTP_OPTIONS, createInferenceDoor, openListener } from '../src/http/index.ts';
import { createOpenGate } from '../src/policy/index.ts';
import { Announcements, type DataPlane, type ManagementPlane, type Reply } from '../src/serving/index.ts';

const DOORS = ['http', 'grpc', 'grpc-js'] as const;
type Door = (typeof DOORS)[number];
const IN_FLIGHT = 16;
const ROUNDS = Number(process.argv[2] ?? 3);
const SIZES = [
  { bytes: 1000, calls: 3000 },
  { bytes: 600_000, calls: 400 },
];
const PATH = `/${InferenceAPIsService.typeName}/Predictions`;
const ANSWER = Buffer.alloc(64, 'x');
const REPLY: Reply = { status: 200, phrase: '', contentType: undefined, headers: [], body: [ANSWER], bytes: 64 };
const LOOPBACK = { host: '127.0.0.1', port: 0 };

const dataPlane: DataPlane = {
  submit(_request, outlet) {
    setImmediate(() => outlet.send(REPLY, true));
    return { cancel: () => undefined };
  },
};

if (process.send === undefined) await measure();
else await serve(process.argv[2] as Door);

async function measure(): Promise<void> {
  const servers = await Promise.all(DOORS.map(start));
  for (const { bytes, calls } of SIZES) {
    const found = new Map<Door, number[]>();
    for (let round = 0; round <= ROUNDS; round++) {
      for (const server of servers) {
        const before = await cpuOf(server.process);
        const startedAt = performance.now();
        await drive(server.door, server.port, Buffer.alloc(bytes, 7), calls);
        const seconds = (performance.now() - startedAt) / 1000;
        const micros = ((await cpuOf(server.process)) - before) / calls;
        // The first round warms up.
        if (round === 0) continue;
        found.set(server.door, [...(found.get(server.door) ?? []), micros]);
        console.log(
          JSON.stringify({
            door: server.door,
            bytes,
            round,
            cpuMicros: Math.round(micros),
            perSecond: Math.round(calls / seconds),
          }),
        );
      }
    }
    const best = (door: Door): number => Math.min(...(found.get(door) ?? [Number.NaN]));
    const ratios = DOORS.map((door) => [
      door,
      { best: Math.round(best(door)), toHttp: Number((best(door) / best('http')).toFixed(2)) },
    ]);
    console.log(JSON.stringify({ bytes, summary: Object.fromEntries(ratios) }));
  }
  for (const server of servers) server.process.disconnect();
}

async function start(door: Door): Promise<{ door: Door; process: ChildProcess; port: number }> {
  const child = fork(import.meta.filename, [door]);
  const [port] = (await once(child, 'message')) as [number];
  return { door, process: child, port };
}

async function cpuOf(child: ChildProcess): Promise<number> {
  child.send('cpu');
  const [micros] = (await once(child, 'message')) as [number];
  return micros;
}

async function drive(door: Door, port: number, body: Buffer, calls: number): Promise<void> {
  const call = door === 'http' ? httpCaller(port, body) : grpcCaller(port, body);
  let left = calls;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await call.once();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  call.close();
}

function httpCaller(port: number, body: Buffer) {
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const headers = { 'content-type': 'application/octet-stream', 'content-length': body.length };
  const callOnce = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const outgoing = httpRequest({ host: '127.0.0.1', port, path: '/predictions/m', method: 'POST', agent, headers });
      outgoing.on('response', (response) => response.resume().on('end', resolve)).on('error', reject);
      outgoing.end(body);
    });
  return { once: callOnce, close: () => agent.destroy() };
}

function grpcCaller(port: number, body: Buffer) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const message = Buffer.from(
    toBinary(PredictionsRequestSchema, create(PredictionsRequestSchema, { modelName: 'm', input: { data: body } })),
  );
  const callOnce = (): Promise<void> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        PATH,
        () => message,
        (bytes: Buffer) => bytes,
        null,
        new Metadata(),
        (error) => (error === null ? resolve() : reject(error)),
      );
    });
  return { once: callOnce, close: () => client.close() };
}

async function serve(door: Door): Promise<void> {
  const port = await { http: serveHttp, grpc: serveGrpc, 'grpc-js': serveGrpcJs }[door]();
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.on('disconnect', () => process.exit());
  process.send?.(port);
}

async function serveHttp(): Promise<number> {
  const announcements = new Announcements();
  const door = createInferenceDoor({
    dataPlane,
    announcements,
    gate: createOpenGate(),
    options: DEFAULT_HTTP_OPTIONS,
    isHealthy: () => true,
    soleStartupModel: () => undefined,
    management: { describe: () => Promise.resolve([]) },
  });
  const { address } = await openListener({ address: { kind: 'tcp', ...LOOPBACK }, door, announcements });
  return address.kind === 'tcp' ? address.port : 0;
}

async function serveGrpc(): Promise<number> {
  const { addresses } = await openGrpcListeners({
    dataPlane,
    // Nothing here is managed.
    management: { isHealthy: () => true } as unknown as ManagementPlane,
    gate: createOpenGate(),
    announcements: new Announcements(),
    inferenceAddress: LOOPBACK,
    managementAddress: LOOPBACK,
    maxMessageBytes: 6_553_500,
    tls: undefined,
    isModelApiEnabled: false,
    isOpenInferenceProtocolEnabled: false,
    doesPingRequireToken: false,
    sequenceHeaders: { id: 'id', start: 'start', end: 'end' },
  });
  return addresses.inference.port;
}

/** What the same service costs on grpc-js with the generated messages. */
async function serveGrpcJs(): Promise<number> {
  const server = new Server({ 'grpc.max_receive_message_length': 6_553_500 });
  server.register(
    PATH,
    (_call: unknown, answer: (error: null, value: unknown) => void) => {
      setImmediate(() => answer(null, create(PredictionResponseSchema, { prediction: ANSWER })));
    },
    (value) => Buffer.from(toBinary(PredictionResponseSchema, value as never)),
    (bytes) => fromBinary(PredictionsRequestSchema, bytes),
    'unary',
  );
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}
