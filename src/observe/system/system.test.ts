import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostStats, parseMeminfo, parseProcStat } from './host-stats.ts';
import { gpuUsageText, parseGpuLines } from './nvidia.ts';
import { rssOf } from './process-memory.ts';

test('busy time leaves out idle and waiting', () => {
  assert.deepEqual(parseProcStat('cpu  10 1 5 100 4 1 2 3 7 0\ncpu0 1 1 1 1\n'), { busy: 22, total: 126 });
});

test('used memory is what is not available', () => {
  assert.deepEqual(parseMeminfo('MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\n'), {
    usedBytes: 600 * 1024,
    totalBytes: 1000 * 1024,
  });
});

test('this machine has plausible numbers', async () => {
  const sample = await hostStats()();
  assert.equal(sample.cpuPercent, 0);
  for (const value of [sample.memoryUsedBytes, sample.memoryAvailableBytes, sample.diskUsedBytes]) assert.ok(value > 0);
  assert.ok(sample.memoryPercent > 0 && sample.memoryPercent <= 100);
});

test('this process holds about as much memory as it says itself', () => {
  const ratio = rssOf(process.pid) / process.memoryUsage.rss();
  assert.ok(ratio > 0.5 && ratio < 3, String(ratio));
});

test('a process that does not exist holds nothing', () => {
  assert.equal(rssOf(2 ** 30), 0);
});

test("nvidia-smi's table and describe's text", () => {
  const [first, second] = parseGpuLines('0, 35, 12, 1024, 81559\n1, [N/A], [N/A], 0, 81559\n');
  assert.equal(gpuUsageText(first), 'gpuId::0 utilization.gpu::35 % utilization.memory::12 % memory.used::1024 MiB');
  assert.equal(second?.utilizationPercent, 0);
  assert.equal(gpuUsageText(undefined), 'failed to obtained gpu usage');
  assert.deepEqual(parseGpuLines('NVIDIA-SMI has failed'), []);
});
