/**
 * Importer of `valgrind --tool=lackey --trace-mem=yes` text: every instruction and access.
 *
 * Lines are `I  ADDR,SIZE` (instruction), ` L ADDR,SIZE` (load), ` S ADDR,SIZE` (store) and
 * ` M ADDR,SIZE` (both: a load, then a store of the same bytes), addresses in hexadecimal.
 * Valgrind's own lines begin with `==PID==` or `--PID--`. The clock counts instructions; a file
 * without any (filtered, or another tool's) counts accesses.
 * Source: the manual of Lackey, section "Memory Trace Output".
 * Not modelled: threads, which Lackey does not tell apart: all accesses are of one.
 */
import type { ByteSource } from '../byteStream.ts';
import { makeHeader, type TraceHeader } from '../header.ts';
import { type ImportFeed, MAPPINGS_NOTE } from './importFeed.ts';
import type { ImportFormat, ImportSteps } from './importFormat.ts';
import { hexDigit, LineReader } from './lineReader.ts';

const INSTRUCTION = 73; // I
const LOAD = 76; // L
const STORE = 83; // S
const MODIFY = 77; // M
const SPACE = 32;
const COMMA = 44;
const REMEDY = 'expected what valgrind --tool=lackey --trace-mem=yes prints';

export const lackey: ImportFormat = {
  name: 'lackey',
  /** A slice is so many instructions at most. */
  spanMax: 1 << 20,

  sniff(head) {
    return /^(?:I {2}| [LSM] )[0-9a-f]{2,16},\d+\r?$/m.test(head);
  },

  header(head): TraceHeader {
    const hasInstructions = /^I {2}[0-9a-f]/m.test(head);
    const [program = '', ...args] = (/== Command: (.*)$/m.exec(head)?.[1] ?? '').split(' ');
    return makeHeader({
      program,
      args,
      recorder: { name: 'valgrind lackey', version: /Valgrind-(\S+)/.exec(head)?.[1] ?? '' },
      accessKind: 'all',
      timeBase: { unit: hasInstructions ? 'instructions' : 'accesses', unitsPerSecond: 0 },
      notes: [MAPPINGS_NOTE, 'lackey does not tell threads apart: all accesses are of one'],
    });
  },

  *run(source: ByteSource, feed: ImportFeed, header: TraceHeader): ImportSteps {
    const lines = new LineReader(source);
    const bytes = lines.bytes;
    const countsAccesses = header.timeBase.unit === 'accesses';
    let clock = 0;
    let pid = 0;
    while (lines.next()) {
      const { start, end } = lines;
      if ((lines.number & 0xffff) === 0) yield lines.bytesRead;
      if (start === end) continue;
      const first = bytes[start]!;
      if (first === INSTRUCTION) {
        clock++;
        continue;
      }
      const op = bytes[start + 1]!;
      if (first !== SPACE || (op !== LOAD && op !== STORE && op !== MODIFY)) {
        const said = valgrindPid(bytes, start, end);
        if (said < 0) throw lines.error('no line of lackey', REMEDY);
        if (pid === 0) pid = said;
        continue;
      }
      let at = start + 2;
      while (bytes[at] === SPACE) at++;
      let addr = 0;
      for (let digit = hexDigit(bytes[at]!); digit >= 0; digit = hexDigit(bytes[++at]!)) {
        addr = addr * 16 + digit;
      }
      let sizeBytes = 0;
      const sizeStart = at + 1;
      const hasComma = bytes[at] === COMMA && at > start + 3;
      for (at = sizeStart; at < end && bytes[at]! >= 48 && bytes[at]! <= 57; at++) {
        sizeBytes = sizeBytes * 10 + bytes[at]! - 48;
      }
      if (!hasComma || at === sizeStart || at !== end || sizeBytes > 4096) {
        throw lines.error('no address and size', REMEDY);
      }
      if (countsAccesses) clock++;
      if (op !== STORE) feed.access(pid, pid, clock, addr, sizeBytes, 0, 'lackey');
      if (op !== LOAD) feed.access(pid, pid, clock, addr, sizeBytes, 1, 'lackey');
    }
  },
};

/** The pid of `==PID==` or `--PID--` at `start`; -1 for any other line. */
function valgrindPid(bytes: Uint8Array, start: number, end: number): number {
  const mark = bytes[start]!;
  const isMark = (mark === 61 || mark === 45) && bytes[start + 1] === mark;
  if (!isMark) return -1;
  let pid = 0;
  let at = start + 2;
  for (; at < end && bytes[at]! >= 48 && bytes[at]! <= 57; at++) pid = pid * 10 + bytes[at]! - 48;
  return bytes[at] === mark ? pid : -1;
}
