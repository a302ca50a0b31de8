/**
 * Importer of `perf script` text of sampled memory accesses (perf mem record, perf record -d).
 *
 * A line is `comm pid/tid [cpu] seconds: period event: addr data_src ... phys_addr`, of which
 * event and addr are needed (`-F comm,pid,tid,cpu,time,event,addr,data_src`); perf prints fields in
 * this order whatever the order of -F. Loads and stores are told apart by data_src (bits 0-4,
 * mem_op of perf_event.h), else by the event's name. The clock is nanoseconds since the first
 * sample, or counts samples where no time was printed. Comments, call chains (lines that begin
 * with a tab) and empty lines are skipped.
 * Not modelled: physical addresses (phys_addr is read over), the sampling period: a sample is one
 * access; samples without or with a kernel address are counted and left out.
 */

import { utf8Decode } from '../bytes.ts';
import { makeHeader } from '../header.ts';
import { type ImportFeed, MAPPINGS_NOTE } from './importFeed.ts';
import type { ImportFormat } from './importFormat.ts';
import { LineReader, parseDecimal, parseHex } from './lineReader.ts';

const TOKENS_MAX = 64;
const COLON = 58;
const DOT = 46;
const SLASH = 47;
const BAR = 124;
const BRACKET = 91;
const HASH = 35;
const TAB = 9;
const SPACE = 32;
/** PERF_MEM_OP_STORE among the five bits of PERF_MEM_OP_*; PERF_MEM_OP_NA is 1. */
const MEM_OP_STORE = 4;
const MEM_OP_NA = 1;
const REMEDY = 'print it with: perf script -F comm,pid,tid,cpu,time,event,addr,data_src';
const NANOSECONDS = 1e9;

/** Splits lines into tokens and reads a sample out of them. */
class SampleParser {
  readonly #lines: LineReader;
  readonly #start = new Int32Array(TOKENS_MAX);
  readonly #end = new Int32Array(TOKENS_MAX);
  #count = 0;
  pid = 0;
  tid = 0;
  /** Nanoseconds; -1 when no time is printed. */
  timeNs = -1;
  addr = 0;
  write = 0;
  // token after the last one of comm
  #commEnd = 0;

  constructor(lines: LineReader) {
    this.#lines = lines;
  }

  /** Reads the line's sample. Errors: UserError. */
  parse(): void {
    this.#tokenize();
    const time = this.#findTime();
    const event = this.#findEvent(time + 1);
    if (time < 0 && event < 0) throw this.#lines.error('no sample of perf script', REMEDY);
    this.#readThread(time >= 0 ? time : this.#isPeriod(event - 1) ? event - 1 : event);
    const at = Math.max(time, event) + 1;
    this.addr = at < this.#count ? this.#hex(at) : -1;
    if (this.addr < 0) throw this.#lines.error('a sample without address', REMEDY);
    this.write = this.#isStore(at + 1, event) ? 1 : 0;
  }

  /** The program's name; the pid's digits when comm is not printed. */
  comm(): string {
    if (this.#commEnd === 0) return `pid ${this.pid}`;
    return utf8Decode(this.#lines.bytes, this.#start[0]!, this.#end[this.#commEnd - 1]!);
  }

  #tokenize(): void {
    const { bytes, start, end } = this.#lines;
    let count = 0;
    for (let at = start; at < end && count < TOKENS_MAX; ) {
      while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
      if (at >= end) break;
      this.#start[count] = at;
      while (at < end && bytes[at] !== SPACE && bytes[at] !== TAB) at++;
      this.#end[count++] = at;
    }
    this.#count = count;
  }

  #endsInColon(token: number): boolean {
    const end = this.#end[token]!;
    return this.#lines.bytes[end - 1] === COLON && end - this.#start[token]! > 1;
  }

  /** The token `SECONDS.FRACTION:`; -1 when there is none. */
  #findTime(): number {
    const bytes = this.#lines.bytes;
    for (let token = 0; token < this.#count; token++) {
      if (!this.#endsInColon(token)) continue;
      const start = this.#start[token]!;
      const end = this.#end[token]! - 1;
      const dot = bytes.subarray(start, end).indexOf(DOT) + start;
      if (dot < start) continue;
      const seconds = parseDecimal(bytes, start, dot);
      const fraction = parseDecimal(bytes, dot + 1, end);
      const digits = end - dot - 1;
      if (seconds < 0 || fraction < 0 || digits > 9) continue;
      let unit = NANOSECONDS;
      for (let i = 0; i < digits; i++) unit /= 10;
      this.timeNs = seconds * NANOSECONDS + fraction * unit;
      return token;
    }
    this.timeNs = -1;
    return -1;
  }

  /** The event's token, which ends in a colon, at `from` or after a period; -1 for none. */
  #findEvent(from: number): number {
    if (from > 0) {
      if (from < this.#count && this.#endsInColon(from)) return from;
      const isAfterPeriod = this.#isPeriod(from) && from + 1 < this.#count;
      return isAfterPeriod && this.#endsInColon(from + 1) ? from + 1 : -1;
    }
    for (let token = 0; token < this.#count; token++) if (this.#endsInColon(token)) return token;
    return -1;
  }

  #isPeriod(token: number): boolean {
    if (token < 1 || token >= this.#count) return false;
    const isNumber = parseDecimal(this.#lines.bytes, this.#start[token]!, this.#end[token]!) >= 0;
    // a pid has neither a pid nor a cpu before it
    return isNumber && (this.timeNs >= 0 || this.#isCpuOrPid(token - 1));
  }

  #isCpuOrPid(token: number): boolean {
    const bytes = this.#lines.bytes;
    const start = this.#start[token]!;
    if (bytes[start] === BRACKET) return true;
    const end = this.#end[token]!;
    const slash = bytes.subarray(start, end).indexOf(SLASH);
    return slash > 0 || parseDecimal(bytes, start, end) >= 0;
  }

  /** pid and tid, before [cpu] and token `end`; comm is what comes before. */
  #readThread(end: number): void {
    const bytes = this.#lines.bytes;
    let token = end - 1;
    if (token >= 0 && bytes[this.#start[token]!] === BRACKET) token--;
    this.pid = 0;
    this.tid = 0;
    this.#commEnd = token + 1;
    if (token < 0) return;
    const start = this.#start[token]!;
    const stop = this.#end[token]!;
    const slash = bytes.subarray(start, stop).indexOf(SLASH) + start;
    const pid = parseDecimal(bytes, start, slash < start ? stop : slash);
    if (pid < 0) return;
    this.pid = pid;
    this.tid = slash < start ? pid : Math.max(0, parseDecimal(bytes, slash + 1, stop));
    this.#commEnd = token;
  }

  #hex(token: number): number {
    return parseHex(this.#lines.bytes, this.#start[token]!, this.#end[token]!);
  }

  /** By data_src, the number before the token that begins with |; else by the event's name. */
  #isStore(from: number, event: number): boolean {
    const bytes = this.#lines.bytes;
    for (let token = from + 1; token < this.#count; token++) {
      if (bytes[this.#start[token]!] !== BAR) continue;
      const operation = Math.max(0, this.#hex(token - 1)) % 32;
      if ((operation & MEM_OP_NA) === 0) return (operation & MEM_OP_STORE) !== 0;
      break;
    }
    if (event < 0) return false;
    return /store|\bst\b/i.test(utf8Decode(bytes, this.#start[event]!, this.#end[event]!));
  }
}

export const perfScript: ImportFormat = {
  name: 'perf',
  /** Samples are far apart: a slice is 10 ms at most. */
  spanMax: 1e7,

  sniff(head) {
    const lines = head.split('\n').filter((line) => !/^(#|\t|\s*$)/.test(line));
    return /(^|\s)(\d+\.\d+|\S+):\s+([0-9a-f]+)(\s|$)/.test(lines[0] ?? '');
  },

  header(head) {
    const hasTime = /(^|\s)\d+\.\d+:\s/.test(head);
    return makeHeader({
      recorder: { name: 'perf', version: /^# perf version : (.*)$/m.exec(head)?.[1] ?? '' },
      program: /^# cmdline : (.*)$/m.exec(head)?.[1] ?? '',
      host: /^# hostname : (.*)$/m.exec(head)?.[1] ?? '',
      accessKind: 'samples',
      timeBase: hasTime
        ? { unit: 'nanoseconds', unitsPerSecond: NANOSECONDS }
        : { unit: 'accesses', unitsPerSecond: 0 },
      notes: [MAPPINGS_NOTE, 'sampled: each access stands for many'],
    });
  },

  *run(source, feed: ImportFeed) {
    const lines = new LineReader(source);
    const sample = new SampleParser(lines);
    let firstNs = -1;
    let nrSamples = 0;
    while (lines.next()) {
      if ((lines.number & 0xffff) === 0) yield lines.bytesRead;
      const first = lines.bytes[lines.start];
      if (lines.start === lines.end || first === HASH || first === TAB) continue;
      sample.parse();
      if (sample.addr === 0) {
        feed.counts.skippedNoAddress++;
        continue;
      }
      if (firstNs < 0) firstNs = sample.timeNs;
      nrSamples++;
      const clock = sample.timeNs < 0 ? nrSamples : Math.max(0, sample.timeNs - firstNs);
      const { pid, tid, addr, write } = sample;
      const name = feed.knows(pid, tid) ? '' : sample.comm();
      feed.access(pid, tid, Math.round(clock), addr, 1, write, name);
    }
  },
};
