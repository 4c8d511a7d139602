// node:http as a token server. What it read of a request is a line of the journal; then comes a token.
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

const hex = (text, encoding) => Buffer.from(text, encoding).toString('hex');

const server = createServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 60_000 }, async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  const headers = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    headers.push([hex(request.rawHeaders[at], 'latin1'), hex(request.rawHeaders[at + 1], 'latin1')]);
  }
  const form = [...new URLSearchParams(body.toString())].map((pair) => pair.map((text) => hex(text, 'utf8')));
  const line = { method: hex(request.method), target: hex(request.url, 'latin1'), headers, body: body.toString('hex'), form };
  appendFileSync(process.env.JOURNAL, `${JSON.stringify(line)}\n`);
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('X-Answer-To', request.headers['x-request-id'] ?? '-');
  response.end('{"access_token":"at-1","token_type":"Bearer"}');
});
server.listen(process.env.PORT, '127.0.0.1');
