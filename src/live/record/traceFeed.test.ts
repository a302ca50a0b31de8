/**
 * The raw stream's parser and the joining of streams, on hand-made bytes; the recorder's options.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { InvariantError, UserError } from '../../base/assert.ts';
import { checkCacheSetup, findCachePreset, parseCacheShape } from './cachePreset.ts';
import { resolveProgram } from './programFile.ts';
import { RawStreamReader } from './rawStream.ts';
import { NO_LIMITS, type RecordLimits, TraceFeed, type TraceOutput } from './traceFeed.ts';

const HELLO = 1;
const MAP = 2;
const FILE = 3;
const THREAD = 4;
const ACCESS = 5;
const CALL = 6;
const EXEC = 7;
const END_PROCESS = 8;
const SYS_MUNMAP = 11;
const SYS_CLONE = 56;
const SYS_FORK = 57;
const SYS_EXECVE = 59;
const CLONE_THREAD = 0x10000;

function block(type: number, tid: number, words: readonly number[], text?: string): Buffer {
  const bytes = Buffer.from(text ?? '');
  const textWords = text === undefined ? 0 : 1 + Math.ceil(bytes.length / 8);
  const out = Buffer.alloc(16 + 8 * (words.length + textWords));
  const word = (index: number, value: number) => out.writeBigInt64LE(BigInt(value), 8 * index);
  word(0, type + (words.length + textWords) * 256);
  word(1, tid);
  for (const [i, value] of words.entries()) word(2 + i, value);
  if (text !== undefined) {
    word(2 + words.length, bytes.length);
    bytes.copy(out, 8 * (3 + words.length));
  }
  return out;
}

function access(
  tid: number,
  start: number,
  end: number,
  accesses: readonly (readonly [number, number])[],
) {
  const words = accesses.map(([address, write]) => Math.floor(address / 64) * 2 + write);
  return block(ACCESS, tid, [start, end, ...words]);
}

function call(
  tid: number,
  clock: number,
  nr: number,
  result: number,
  args: number[] = [],
  aux = 0,
) {
  return block(CALL, tid, [clock, nr, result, ...[...args, 0, 0, 0, 0, 0, 0].slice(0, 6), aux]);
}

/** Remembers what it is told, as short lines. */
function collector() {
  const lines: string[] = [];
  let processes = 0;
  let threads = 0;
  const output: TraceOutput = {
    addProcess: (_name, parent, recordedPid) => {
      lines.push(`process ${processes} parent ${parent} was ${recordedPid}`);
      return processes++;
    },
    addThread: (pid, _name, recordedTid) => {
      lines.push(`thread ${threads} of ${pid} was ${recordedTid}`);
      return threads++;
    },
    slice: (pid, tid, start, end, count, vpn, lineWrite) => {
      const pages = Array.from(
        { length: count },
        (_, i) => `${vpn[i]}.${lineWrite[i]! >> 1}${lineWrite[i]! & 1 ? 'w' : 'r'}`,
      );
      lines.push(`slice ${pid}/${tid} [${start}, ${end}) ${pages.join(' ')}`);
    },
    event: (event) => {
      const { kind, pid, tid, insn, ...fields } = event;
      lines.push(`${kind} ${pid}/${tid} @${insn} ${Object.values(fields).join(' ')}`.trim());
    },
  };
  return { lines, output };
}

function feedOf(output: TraceOutput, limits: RecordLimits = NO_LIMITS) {
  const feed = new TraceFeed(output, 'prog', limits);
  const stream = () => {
    const reader: RawStreamReader = new RawStreamReader(
      feed.connect(
        () => {
          reader.isHeld = true;
        },
        () => {
          reader.isHeld = false;
          reader.resume();
        },
      ),
    );
    return reader;
  };
  return { feed, stream };
}

const START = Buffer.concat([block(HELLO, 0, [1, 100, 0]), block(THREAD, 100, [0])]);
const BIG = 0x7fff_ffff_f000;

describe('raw stream', () => {
  const stream = Buffer.concat([
    START,
    block(FILE, 0, [0, 8, 77, 4096], '/bin/äpp'),
    block(MAP, 0, [0x400000, 0x402000, 5, 18, 1, 0]),
    access(100, 10, 20, [
      [0x400040, 0],
      [BIG + 63 * 64, 1],
    ]),
    call(100, 21, SYS_MUNMAP, -22, [BIG, 4096]),
    block(END_PROCESS, 100, [30, 3]),
  ]);
  const expected = [
    'process 0 parent -1 was 100',
    'thread 0 of 0 was 100',
    'open 0/0 @0 0 /bin/äpp 4096',
    'mmap 0/0 @0 4194304 8192 5 18 0 0 4194304',
    `slice 0/0 [10, 20) 1024.1r ${BIG / 4096}.63w`,
    `munmap 0/0 @21 ${BIG} 4096 -22`,
    'exit_group 0/0 @30 3',
  ];

  it('becomes slices and events, however it is cut into pieces', () => {
    for (const size of [1, 7, 8, 16, 33, stream.length]) {
      const { lines, output } = collector();
      const reader = feedOf(output).stream();
      for (let at = 0; at < stream.length; at += size) reader.push(stream.subarray(at, at + size));
      expect(lines).toEqual(expected);
      expect(reader.bytesLeft).toBe(0);
    }
  });

  it('keeps what is whole when the sender dies in the middle of a block', () => {
    for (const cut of [1, 15, 17, stream.length - START.length - 1]) {
      const { lines, output } = collector();
      const reader = feedOf(output).stream();
      reader.push(stream.subarray(0, START.length + cut));
      expect(lines).toEqual(expected.slice(0, lines.length));
      expect(reader.bytesLeft).toBeGreaterThan(0);
    }
  });

  it('refuses bytes that are no raw stream', () => {
    const push = (bytes: Buffer) => () => feedOf(collector().output).stream().push(bytes);
    expect(push(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toThrow(InvariantError);
    expect(push(block(99, 0, [1]))).toThrow(/type 99/);
    expect(push(block(ACCESS, 0, [1]))).toThrow(/1 words/);
    expect(push(block(HELLO, 0, [2, 100, 0]))).toThrow(/version 2/);
    const text = block(FILE, 0, [0, 8, 77, 4096], '/bin/app');
    text.writeUInt32LE(99, 16 + 4 * 8);
    expect(push(Buffer.concat([START, text]))).toThrow(/text of 99 bytes/);
  });

  it('grows for a held stream and reads on when it is released', () => {
    const { lines, output } = collector();
    const { stream: open } = feedOf(output);
    const parent = open();
    const child = open();
    parent.push(START);
    child.push(Buffer.concat([block(HELLO, 0, [1, 200, 100]), block(THREAD, 200, [0])]));
    const many = Array.from({ length: 4000 }, (_, i) => [i * 64, 0] as const);
    for (let i = 0; i < 9; i++) child.push(access(200, i, i + 1, many));
    expect(lines).toHaveLength(2);
    parent.push(call(100, 5, SYS_FORK, 200));
    expect(lines.slice(2, 5)).toEqual([
      'process 1 parent 0 was 200',
      'fork 0/0 @5 1 17',
      'thread 1 of 1 was 200',
    ]);
    expect(lines.filter((line) => line.startsWith('slice 1/1'))).toHaveLength(9);
  });
});

describe('joined streams', () => {
  it('a thread is cloned once, whoever tells first', () => {
    for (const isThreadFirst of [true, false]) {
      const { lines, output } = collector();
      const reader = feedOf(output).stream();
      const told = [block(THREAD, 101, [100]), call(100, 7, SYS_CLONE, 101, [CLONE_THREAD])];
      reader.push(Buffer.concat([START, ...(isThreadFirst ? told : told.reverse())]));
      reader.push(access(101, 0, 5, [[4096, 1]]));
      expect(lines.filter((line) => line.startsWith('clone'))).toHaveLength(1);
      expect(lines.at(-1)).toBe('slice 0/1 [0, 5) 1.0w');
    }
  });

  it('an exec counts only if the stream ends after it', () => {
    const exec = Buffer.concat([START, block(EXEC, 100, [9], '/bin/ls')]);
    const failed = collector();
    const going = feedOf(failed.output).stream();
    going.push(Buffer.concat([exec, call(100, 9, SYS_EXECVE, -2)]));
    expect(failed.lines).toHaveLength(2);

    const gone = collector();
    const { feed } = feedOf(gone.output);
    const process = feed.connect(
      () => {},
      () => {},
    );
    new RawStreamReader(process).push(exec);
    process.closed(0);
    expect(gone.lines.at(-1)).toBe('exec 0/0 @9 /bin/ls');
    expect(feed.warnings.join()).toContain('not followed');
  });

  it('a process that is killed ends with an unknown status', () => {
    const { lines, output } = collector();
    const { feed } = feedOf(output);
    const process = feed.connect(
      () => {},
      () => {},
    );
    const reader = new RawStreamReader(process);
    reader.push(Buffer.concat([START, access(100, 0, 5, [[4096, 1]]).subarray(0, 20)]));
    process.closed(reader.bytesLeft);
    expect(lines.slice(-2)).toEqual([
      'marker 0/0 @0 the process was killed',
      'exit_group 0/0 @0 -1',
    ]);
    expect(feed.warnings).toHaveLength(1);
  });

  it('stops at exactly the wanted number of accesses', () => {
    const { lines, output } = collector();
    const { feed, stream } = feedOf(output, { ...NO_LIMITS, accessesMax: 3 });
    const slice = access(100, 0, 100, [
      [0, 0],
      [64, 0],
    ]);
    stream().push(Buffer.concat([START, slice, slice, slice]));
    expect(feed.accesses).toBe(3);
    expect(feed.isFull).toBe(true);
    expect(lines.filter((line) => line.startsWith('slice'))).toHaveLength(2);
  });

  it('of what is skipped keeps calls and first touches, and starts the clock afterwards', () => {
    const { lines, output } = collector();
    const { stream } = feedOf(output, { ...NO_LIMITS, skipInsn: 50 });
    const skipped: [number, number][] = [
      [4096, 0],
      [4160, 0],
      [8192, 1],
      [4096, 1],
      [4160, 1],
    ];
    const parts = [
      access(100, 0, 20, skipped),
      call(100, 21, SYS_MUNMAP, 0, [4096, 4096]),
      access(100, 22, 40, skipped),
      call(100, 60, SYS_MUNMAP, 0, [4096, 4096]),
    ];
    stream().push(Buffer.concat([START, ...parts, access(100, 70, 90, [[4160, 1]])]));
    expect(lines.slice(2)).toEqual([
      'slice 0/0 [0, 0) 1.0r 2.0w 1.0w',
      'munmap 0/0 @0 4096 4096 0',
      'slice 0/0 [0, 0) 1.0r 1.0w',
      'munmap 0/0 @0 4096 4096 0',
      'slice 0/0 [10, 30) 1.1w',
    ]);
  });
});

describe('options', () => {
  it('reads cache shapes and refuses impossible ones', () => {
    expect(parseCacheShape('--l1', '48k:12')).toEqual({ sizeBytes: 49152, ways: 12 });
    expect(parseCacheShape('--l1', '0').sizeBytes).toBe(0);
    expect(() => parseCacheShape('--l1', '48k')).toThrow(UserError);
    expect(() => findCachePreset('huge')).toThrow(/server-l2/);
    const preset = findCachePreset('server-l2');
    const odd = { ...preset, l2: { sizeBytes: 3 << 20, ways: 16 } };
    expect(() => checkCacheSetup(odd)).toThrow(/power of two/);
  });

  it('finds programs as a shell does, and says what cannot be recorded', () => {
    expect(resolveProgram('sh', ['-c', 'true']).path).toMatch(/\/sh$/);
    expect(() => resolveProgram('no-such-program', [])).toThrow(/no such program/);
    expect(() => resolveProgram(fileURLToPath(import.meta.url), [])).toThrow(UserError);
  });
});
