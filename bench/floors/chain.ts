// Floor: node:http, a unix socket and a Python loop. Davy's own path with everything but the wire taken out.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [port, mode, python] = process.argv.slice(2) as [string, string, string];
const folder = mkdtempSync(join(tmpdir(), 'davy-floor-'));
const path = join(folder, 'loop.sock');
const waiting: ServerResponse[] = [];

const bridge = createServer(serve).listen(path, () => {
  const loop = spawn(python, [join(import.meta.dirname, 'loop.py'), path, mode], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const end = (): void => {
    loop.kill();
    process.exit(0);
  };
  process.on('SIGTERM', end);
  loop.on('exit', end);
});

function serve(socket: Socket): void {
  bridge.close();
  rmSync(folder, { recursive: true });
  let chunks: Buffer[] = [];
  let have = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    have += chunk.length;
    while (have >= 4) {
      if (chunks[0]!.length < 4) chunks = [Buffer.concat(chunks)];
      const size = chunks[0]!.readUInt32BE(0);
      if (have < 4 + size) return;
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      const response = waiting.shift()!;
      response.writeHead(200, { 'content-length': size });
      response.end(all.subarray(4, 4 + size));
      have -= 4 + size;
      chunks = have > 0 ? [all.subarray(4 + size)] : [];
    }
  });
  const http = createHttpServer((request, response) => {
    const body: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      body.push(chunk);
      size += chunk.length;
    });
    request.on('end', () => {
      const prefix = Buffer.allocUnsafe(4);
      prefix.writeUInt32BE(size);
      waiting.push(response);
      socket.cork();
      socket.write(prefix);
      for (const chunk of body) socket.write(chunk);
      socket.uncork();
    });
  });
  http.keepAliveTimeout = 0;
  http.listen(Number(port), '127.0.0.1', () => console.log('Model server started.'));
}
