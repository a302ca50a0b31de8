/**
 * Traces as text for other tools and for eyes, streamed.
 *
 * text: a line an item, accesses indented below their slice. csv: pid, tid, insn, what (R, W or the
 * event's kind), address, detail; one table for accesses and events. lackey: what valgrind's
 * lackey prints for loads and stores, one line of 64 bytes an access, without instructions and
 * events, for tools that read it; importing it again gives the same accesses.
 */
import type { ByteSink } from './byteStream.ts';
import { ByteWriter, utf8Encode } from './bytes.ts';
import type { TraceEvent } from './event.ts';
import { EVENT_ROWS, eventRowOf } from './eventCodec.ts';
import type { AccessSlice, TraceSource } from './source.ts';
import { END, EVENT, vpnOfPageWord } from './source.ts';

export const EXPORT_FORMATS = ['text', 'csv', 'lackey'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

const FLUSH_BYTES = 1 << 16;
const LINES_PER_PAGE = 64;
const HEX = utf8Encode('0123456789abcdef');
const READ = 82; // R
const WRITE = 87; // W
const COMMA = 44;
const SPACE = 32;
const NEWLINE = 10;

/**
 * Writes all of `source`, which was opened with lines, as text; returns the accesses written.
 * `accessesMax` ends it after so many accesses. Yields the accesses done so far.
 * Errors: those of source and sink.
 */
export function* exportSteps(
  source: TraceSource,
  sink: ByteSink,
  format: ExportFormat,
  accessesMax = Number.POSITIVE_INFINITY,
): Generator<number, number, void> {
  const exporter = new Exporter(source, format);
  let accesses = 0;
  exporter.head();
  for (let kind = source.next(); kind !== END; kind = source.next()) {
    if (kind === EVENT) {
      exporter.event(source.event);
    } else {
      const count = Math.min(source.slice.accesses, accessesMax - accesses);
      exporter.slice(source.slice, count);
      accesses += count;
      if (accesses >= accessesMax) break;
    }
    if (exporter.out.length >= FLUSH_BYTES) {
      sink.write(exporter.out.view());
      exporter.out.clear();
      yield accesses;
    }
  }
  sink.write(exporter.out.view());
  return accesses;
}

class Exporter {
  readonly out = new ByteWriter(FLUSH_BYTES * 2);
  readonly #source: TraceSource;
  readonly #format: ExportFormat;

  constructor(source: TraceSource, format: ExportFormat) {
    this.#source = source;
    this.#format = format;
  }

  head(): void {
    const { program, args, recorder, timeBase } = this.#source.header;
    if (this.#format === 'csv') this.#ascii('pid,tid,insn,what,address,detail\n');
    if (this.#format !== 'text') return;
    const command = [program, ...args].join(' ');
    this.#ascii(`# ${command}, recorded by ${recorder.name} ${recorder.version}\n`);
    this.#ascii(`# clock: ${timeBase.unit}; an access: R or W and address of its line\n`);
  }

  event(event: TraceEvent): void {
    if (this.#format === 'lackey') return;
    const values = event as unknown as Record<string, number | string>;
    const row = EVENT_ROWS[eventRowOf(event.kind)]!;
    const fields = row.fields.map(([name, type]) => {
      const value = values[name]!;
      const isAddress = name === 'addr' || name === 'newAddr';
      if (isAddress) return `${name}=0x${Number(value).toString(16)}`;
      return `${name}=${type === 't' ? JSON.stringify(value) : value}`;
    });
    if (this.#format === 'text') {
      const who = `pid ${event.pid} tid ${event.tid} at ${event.insn}`;
      this.#ascii(`${event.kind} ${who} ${fields.join(' ')}\n`);
      return;
    }
    const address = 'addr' in event ? `0x${event.addr.toString(16)}` : '';
    const detail = fields.filter((field) => !field.startsWith('addr=')).join(' ');
    const quoted = `"${detail.replaceAll('"', '""')}"`;
    const { pid, tid, insn, kind } = event;
    this.#ascii(`${pid},${tid},${insn},${kind},${address},${quoted}\n`);
  }

  /** The first `count` accesses of a slice. */
  slice(slice: AccessSlice, count: number): void {
    const { pid, tid, insnStart, insnEnd, accesses, page, weight, line } = slice;
    const bases = this.#source.regionBase(pid);
    const span = insnEnd - insnStart;
    if (this.#format === 'text') {
      const clocks = `from ${insnStart} to ${insnEnd}`;
      this.#ascii(`slice pid ${pid} tid ${tid} ${clocks} accesses ${accesses}\n`);
    }
    const prefix = utf8Encode(`${pid},${tid},`);
    for (let run = 0, at = 0; at < count; run++) {
      const firstLine = vpnOfPageWord(bases, page[run]!) * LINES_PER_PAGE;
      const write = page[run]! & 1;
      for (let end = Math.min(count, at + weight[run]!); at < end; at++) {
        const addr = (firstLine + (line.length > 0 ? line[at]! : 0)) * 64;
        const clock = insnStart + Math.floor((span * at) / accesses);
        this.#access(prefix, clock, write, addr);
      }
    }
  }

  #access(prefix: Uint8Array, clock: number, write: number, addr: number): void {
    const out = this.out;
    if (this.#format === 'lackey') {
      out.u8(SPACE);
      out.u8(write === 0 ? 76 : 83);
      out.u8(SPACE);
      this.#hex(addr, 8);
      this.#ascii(',64\n');
      return;
    }
    if (this.#format === 'csv') {
      out.raw(prefix);
      this.#ascii(String(clock));
      out.u8(COMMA);
      out.u8(write === 0 ? READ : WRITE);
      this.#ascii(',0x');
      this.#hex(addr, 1);
      out.u8(COMMA);
    } else {
      out.u8(SPACE);
      out.u8(write === 0 ? READ : WRITE);
      this.#ascii(' 0x');
      this.#hex(addr, 1);
    }
    out.u8(NEWLINE);
  }

  /** `value` in hexadecimal with at least `digitsMin` digits. */
  #hex(value: number, digitsMin: number): void {
    let digits = 1;
    for (let rest = Math.floor(value / 16); rest > 0; rest = Math.floor(rest / 16)) digits++;
    digits = Math.max(digits, digitsMin);
    this.out.reserve(digits);
    let rest = value;
    for (let i = this.out.length + digits - 1; i >= this.out.length; i--) {
      this.out.bytes[i] = HEX[rest % 16]!;
      rest = Math.floor(rest / 16);
    }
    this.out.length += digits;
  }

  #ascii(text: string): void {
    this.out.reserve(text.length * 3);
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) {
        this.out.raw(utf8Encode(text.slice(i)));
        return;
      }
      this.out.bytes[this.out.length++] = unit;
    }
  }
}
