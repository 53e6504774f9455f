// Floor: ONNX Runtime in this process, one run after another, one thread. Reports like the load generator.
import { summarize } from '../measurement.ts';

const { model, warmUpMs, measureMs } = JSON.parse(process.argv[2]!) as {
  model: string;
  warmUpMs: number;
  measureMs: number;
};
// Read when the library is loaded, hence the import after it.
process.env['ORT_DISABLE_TELEMETRY'] = '1';
const { InferenceSession, Tensor } = await import('onnxruntime-node');
const session = await InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const input = Float32Array.from({ length: 64 }, (_, index) => (index % 17) / 16);
const runOnce = async (): Promise<unknown> => {
  const { logits } = await session.run({ image: new Tensor('float32', input.slice(), [1, 1, 8, 8]) });
  return logits!.data;
};

const warmUntil = performance.now() + warmUpMs;
while (performance.now() < warmUntil) await runOnce();
process.send!({ kind: 'measuring' });
const latencies: number[] = [];
const startedAt = performance.now();
while (performance.now() - startedAt < measureMs) {
  const before = performance.now();
  await runOnce();
  latencies.push(performance.now() - before);
}
process.send!({ kind: 'measured', ...summarize(latencies, performance.now() - startedAt, 0) }, () => process.exit(0));
