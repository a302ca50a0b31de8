/**
 * Load for a Redis server, in phases: 80 % of the requests go to a tenth of the keys, those that
 * were stored together, and that tenth changes with each phase. One request in ten writes.
 */
import { connect } from 'node:net';
import { xorshift } from './xorshift.mjs';

const PIPELINED = 32;
const CRLF = Buffer.from('\r\n');

/** One connection; `send` resolves when all replies to its requests are there. */
export class RedisClient {
  #socket;
  #unread = Buffer.alloc(0);
  #missing = 0;
  #wake = () => {};

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => this.#wake());
  }

  /**
   * Tries until the server listens on `path`.
   *
   * @param {string} path
   */
  static async open(path) {
    for (let tries = 0; tries < 600; tries++) {
      /** @type {import('node:net').Socket | null} */
      const socket = await new Promise((resolve) => {
        const attempt = connect(path, () => resolve(attempt));
        attempt.once('error', () => resolve(null));
      });
      if (socket !== null) return new RedisClient(socket);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`no Redis server on ${path}`);
  }

  /** @param {readonly (readonly string[])[]} requests */
  send(requests) {
    const parts = [];
    for (const words of requests) {
      parts.push(`*${words.length}\r\n`);
      for (const word of words) parts.push(`$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    }
    this.#missing += requests.length;
    this.#socket.write(parts.join(''));
    return new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
      this.#wake = resolve;
    });
  }

  /** @param {Buffer} chunk */
  #read(chunk) {
    const bytes = this.#unread.length > 0 ? Buffer.concat([this.#unread, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(CRLF, at);
      if (end < 0) break;
      const isBulk = bytes[at] === 0x24;
      const length = isBulk ? Number(bytes.toString('latin1', at + 1, end)) : -1;
      const next = end + 2 + (length >= 0 ? length + 2 : 0);
      if (next > bytes.length) break;
      at = next;
      this.#missing--;
    }
    this.#unread = Buffer.from(bytes.subarray(at));
    if (this.#missing <= 0) this.#wake();
  }
}

const keyOf = (/** @type {number} */ i) => `user:${String(i).padStart(8, '0')}`;

/**
 * @param {number} i
 * @param {number} version
 * @param {number} bytes
 */
function textOf(i, version, bytes) {
  return `${version}-${i}-`.padEnd(bytes, 'x');
}

/**
 * Stores `nrKeys` values of `valueBytes`.
 *
 * @param {RedisClient} client
 * @param {number} nrKeys
 * @param {number} valueBytes
 */
export async function fill(client, nrKeys, valueBytes) {
  for (let start = 0; start < nrKeys; start += PIPELINED) {
    const requests = [];
    for (let i = start; i < Math.min(nrKeys, start + PIPELINED); i++) {
      requests.push(['SET', keyOf(i), textOf(i, 0, valueBytes)]);
    }
    await client.send(requests);
  }
}

/**
 * `nrRequests` requests whose hot tenth of the keys starts at `hotStart` (0..1).
 *
 * @param {RedisClient} client
 * @param {number} nrKeys
 * @param {number} nrRequests
 * @param {number} valueBytes
 * @param {number} hotStart
 * @param {number} seed
 */
export async function use(client, nrKeys, nrRequests, valueBytes, hotStart, seed) {
  const draw = xorshift(seed);
  const hotKeys = Math.floor(nrKeys / 10);
  const base = Math.floor(nrKeys * hotStart);
  for (let done = 0; done < nrRequests; done += PIPELINED) {
    const requests = [];
    for (let i = 0; i < PIPELINED; i++) {
      const key = draw(10) < 8 ? (base + draw(hotKeys)) % nrKeys : draw(nrKeys);
      const isWrite = draw(10) === 0;
      const words = ['SET', keyOf(key), textOf(key, seed, valueBytes)];
      requests.push(isWrite ? words : ['GET', keyOf(key)]);
    }
    await client.send(requests);
  }
}

/**
 * Ends the server without saving.
 *
 * @param {RedisClient} client
 */
export function shutDown(client) {
  client.send([['SHUTDOWN', 'NOSAVE']]);
}
