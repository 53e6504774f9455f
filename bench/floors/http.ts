// Floor: node:http alone. The most a front end in Node can do.
import { createServer } from 'node:http';

const ANSWER = Buffer.from('{"output":1}');

const server = createServer((request, response) => {
  request.on('data', () => {});
  request.on('end', () => {
    response.writeHead(200, { 'content-length': ANSWER.length });
    response.end(ANSWER);
  });
});
server.keepAliveTimeout = 0;
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('Model server started.'));
