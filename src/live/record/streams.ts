/**
 * The recorder's end of the sockets: one connection per recorded process.
 *
 * Back-pressure is the socket's: while a chunk is compressed nothing is read, the plugin's writes
 * block, and the program waits. A connection is held when its process's fork has not been told of.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import nodeProcess from 'node:process';
import type { ProcessFeed } from './processFeed.ts';
import { RawStreamReader } from './rawStream.ts';
import type { TraceFeed } from './traceFeed.ts';

/** sun_path of a Unix socket has 108 bytes. */
const SOCKET_PATH_MAX = 100;

interface Connection {
  readonly socket: Socket;
  readonly process: ProcessFeed;
}

export class RecordStreams {
  readonly #folder: string;
  readonly #server: Server;
  readonly #feed: TraceFeed;
  readonly #changed: () => void;
  readonly #failed: (error: unknown) => void;
  readonly #open = new Set<Connection>();
  readonly #removeFolder = () => rmSync(this.#folder, { recursive: true, force: true });
  /** Connections ever made. */
  nrSeen = 0;

  /**
   * `changed` is called after each piece of input and when a connection opens or closes; `failed`
   * with what the trace's sink or the reader threw.
   */
  constructor(feed: TraceFeed, changed: () => void, failed: (error: unknown) => void) {
    this.#feed = feed;
    this.#changed = changed;
    this.#failed = failed;
    const base = tmpdir().length < SOCKET_PATH_MAX - 30 ? tmpdir() : '/tmp';
    this.#folder = mkdtempSync(join(base, 'hetmem-record-'));
    this.#server = createServer((socket) => this.#connect(socket));
    // A second ^C exits without coming back here.
    nodeProcess.once('exit', this.#removeFolder);
  }

  get path(): string {
    return join(this.#folder, 'stream');
  }

  get nrOpen(): number {
    return this.#open.size;
  }

  /** Host pids of the processes that are connected. */
  pids(): number[] {
    return [...this.#open].map(({ process }) => process.recordedPid).filter((pid) => pid > 0);
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.path, resolve);
    });
  }

  /** Ends all connections: the plugin ends its program when it cannot write. */
  close(): void {
    for (const { socket } of this.#open) socket.destroy();
    this.#server.close();
    this.#removeFolder();
    nodeProcess.off('exit', this.#removeFolder);
  }

  #connect(socket: Socket): void {
    this.nrSeen++;
    const process: ProcessFeed = this.#feed.connect(
      () => {
        reader.isHeld = true;
        socket.pause();
      },
      () => {
        reader.isHeld = false;
        reader.resume();
        if (!reader.isHeld) socket.resume();
      },
    );
    const reader = new RawStreamReader(process);
    const connection = { socket, process };
    this.#open.add(connection);
    socket.on('data', (chunk) => this.#guard(() => reader.push(chunk)));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#open.delete(connection);
      this.#guard(() => process.closed(reader.bytesLeft));
    });
  }

  #guard(work: () => void): void {
    try {
      work();
      this.#changed();
    } catch (error) {
      this.#failed(error);
    }
  }
}
