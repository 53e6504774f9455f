// Regenerates src/grpc/gen from proto/. Run by hand after a change there; the result is committed.
//   node tools/launch.js tools/gen-proto.ts <python with grpcio-tools> <path of protoc-gen-es 2.17.0>
// The two tools are not dependencies: nothing that runs or tests the server needs them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const [python, plugin] = process.argv.slice(2);
if (python === undefined || plugin === undefined) {
  throw new Error('Usage: gen-proto.ts <python with grpcio-tools> <path of protoc-gen-es>');
}

const root = join(import.meta.dirname, '..');
const source = join(root, 'proto');
const target = join(root, 'src', 'grpc', 'gen');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.proto'));

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
execFileSync(
  python,
  [
    ...['-m', 'grpc_tools.protoc', `--proto_path=${source}`, `--plugin=protoc-gen-es=${plugin}`, `--es_out=${target}`],
    ...['--es_opt=target=ts,import_extension=ts,erasable_syntax=true', ...files],
  ],
  { stdio: 'inherit' },
);
