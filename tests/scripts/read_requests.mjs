// Reads rows of requests with Node's parser, llhttp: JSON strings come in, whose characters are bytes, and
// what each has in it goes out.
import http from 'node:http';
import { Duplex } from 'node:stream';

const options = { maxHeaderSize: 1 << 20, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 };

function pairs(raw) {
  const found = [];
  for (let at = 0; at < raw.length; at += 2) found.push([raw[at].toLowerCase(), raw[at + 1]]);
  return found;
}

const server = http.createServer(options);
// The end of what was sent isn't the end of what is answered.
server.httpAllowHalfOpen = true;

function begin(request) {
  request.socket.row.begun += 1;
  const { method, url, rawHeaders } = request;
  return { method, target: url, headers: pairs(rawHeaders), body: '', trailers: [] };
}

function take(request, response) {
  const message = begin(request);
  const { row } = request.socket;
  request.on('data', (bytes) => { message.body += bytes.toString('latin1'); });
  request.on('end', () => {
    message.trailers = pairs(request.rawTrailers);
    row.requests.push(message);
    response.end();
  });
}

server.on('request', take);
server.on('checkContinue', take);
server.on('checkExpectation', take);
server.on('connect', (request, socket) => { socket.row.rest = 'bad: CONNECT'; });
server.on('upgrade', (request, socket, head) => {
  socket.row.requests.push(begin(request));
  const after = head.toString('latin1');
  // Who doesn't switch goes on with what follows.
  if (request.url === '/switch') socket.row.rest = `tunnel: ${after}`;
  else socket.row.after = after;
});
server.on('clientError', (error, socket) => {
  const cut = error.code === 'HPE_INVALID_EOF_STATE' || error.code === 'ECONNRESET';
  socket.row.rest = cut ? 'cut' : `bad: ${error.code} ${error.reason ?? ''}`;
  socket.destroy();
});

async function read(text) {
  const socket = new Duplex({ read() {}, write(bytes, encoding, done) { done(); } });
  socket.row = { requests: [], begun: 0, rest: '', after: '' };
  socket.on('error', () => {});
  server.emit('connection', socket);
  socket.push(Buffer.from(text, 'latin1'));
  const settle = async () => { for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate); };
  await settle();
  socket.push(null);
  await settle();
  const { requests, begun, rest, after } = socket.row;
  socket.destroy();
  if (after !== '') {
    const further = await read(after);
    return { requests: requests.concat(further.requests), rest: further.rest };
  }
  return { requests, rest: rest === '' && begun > requests.length ? 'cut' : rest };
}

let input = '';
for await (const piece of process.stdin) input += piece;
const rows = [];
for (const text of JSON.parse(input)) rows.push(await read(text));
process.stdout.write(JSON.stringify(rows));
