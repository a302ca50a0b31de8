/** `hetmem trace cut`: a part of a trace as a trace of its own; also salvages and recompresses. */
import { UserError } from '../base/assert.ts';
import {
  type CutRange,
  type CutSelection,
  cutReaderOptions,
  cutSteps,
  type TraceHeader,
  TraceWriter,
  WHOLE,
} from '../trace/index.ts';
import { parseCount } from './optionValues.ts';
import { codecOf, countText, drive, sizeText, withOutput } from './traceSteps.ts';

export interface CutFlags {
  readonly output: string;
  readonly accesses?: string;
  readonly insn?: string;
  readonly time?: string;
  readonly rate?: string;
  readonly pid?: string;
  readonly tid?: string;
  readonly salvage?: boolean;
  readonly codec: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export async function cut(path: string, flags: CutFlags): Promise<void> {
  const { openTraceFile } = await import('../live/index.ts');
  const codec = await codecOf(flags.codec);
  const accesses = flags.accesses === undefined ? WHOLE : parseRange('--accesses', flags.accesses);
  const wantsPages = cutReaderOptions(accesses);
  const { reader, source } = await openTraceFile(path, { ...wantsPages, salvage: flags.salvage });
  try {
    const selection: CutSelection = {
      accesses,
      insns: insnRange(flags, reader.header, path),
      pids: flags.pid === undefined ? null : parseList('--pid', flags.pid),
      tids: flags.tid === undefined ? null : parseList('--tid', flags.tid),
    };
    const history = [...reader.header.history, historyOf(flags)];
    const summary = await withOutput(flags.output, flags.force, async (output) => {
      const writer = new TraceWriter(output, { ...reader.header, history }, codec);
      const total = Math.min(accesses.end, reader.totals?.accesses ?? 0);
      await drive(cutSteps(reader, writer, selection), `cutting ${path}`, total);
      // what the recorder counted is of the whole
      const { insns, pids, tids } = selection;
      const isWhole = accesses === WHOLE && insns === WHOLE && pids === null && tids === null;
      const counted = isWhole ? reader.summary?.recorder : {};
      return { ...writer.finish(counted), bytes: writer.bytesWritten };
    });
    if (reader.damage !== null) process.stderr.write(`hetmem: ${reader.damage}\n`);
    const result = { trace: flags.output, ...summary, damage: reader.damage };
    if (flags.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
    else {
      process.stderr.write(
        `hetmem: ${flags.output}: ${countText(summary.accesses)} accesses, ` +
          `${countText(summary.events)} events, ${sizeText(summary.bytes)}\n`,
      );
    }
  } finally {
    source.close();
  }
}

/** The options that say what was cut, for the history in the header. */
function historyOf(flags: CutFlags): string {
  const words = ['cut'];
  if (flags.accesses !== undefined) words.push(`--accesses ${flags.accesses}`);
  if (flags.insn !== undefined) words.push(`--insn ${flags.insn}`);
  if (flags.time !== undefined) words.push(`--time ${flags.time}`);
  if (flags.rate !== undefined) words.push(`--rate ${flags.rate}`);
  if (flags.pid !== undefined) words.push(`--pid ${flags.pid}`);
  if (flags.tid !== undefined) words.push(`--tid ${flags.tid}`);
  if (flags.salvage === true) words.push('--salvage');
  return words.join(' ');
}

function insnRange(flags: CutFlags, header: TraceHeader, path: string): CutRange {
  if (flags.time === undefined) {
    return flags.insn === undefined ? WHOLE : parseRange('--insn', flags.insn);
  }
  if (flags.insn !== undefined) {
    throw new UserError('--time', 'does not go with --insn', 'give one of them');
  }
  const { unit, unitsPerSecond } = header.timeBase;
  const rate = flags.rate === undefined ? unitsPerSecond : parseCount('--rate', flags.rate);
  if (rate <= 0) {
    const problem = `counts ${unit} and does not say how many a second has`;
    throw new UserError(path, problem, 'use --insn, or say it with --rate 2g');
  }
  const seconds = parseRange('--time', flags.time, parseSeconds);
  return { start: Math.round(seconds.start * rate), end: Math.round(seconds.end * rate) };
}

/** START..END; a side that is left out is open. Errors: UserError. */
function parseRange(
  option: string,
  text: string,
  parse: (option: string, text: string) => number = parseCount,
): CutRange {
  const at = text.indexOf('..');
  if (at < 0) {
    throw new UserError(`${option} ${text}`, 'is no range', 'START..END, such as 1m..2m or ..500k');
  }
  const start = text.slice(0, at) === '' ? 0 : parse(option, text.slice(0, at));
  const rest = text.slice(at + 2);
  const end = rest === '' ? Number.POSITIVE_INFINITY : parse(option, rest);
  if (start < end) return { start, end };
  throw new UserError(`${option} ${text}`, 'is an empty range', 'START is less than END');
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9 };

function parseSeconds(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(s|ms|us|ns)$/.exec(text);
  if (match !== null) return Number(match[1]) * SECONDS[match[2]];
  throw new UserError(`${option} ${text}`, 'is no time', 'a number with its unit: 10ms, 1.5s');
}

function parseList(option: string, text: string): Set<number> {
  const numbers = text.split(',').map(Number);
  if (numbers.every((n) => Number.isSafeInteger(n) && n >= 0)) return new Set(numbers);
  throw new UserError(`${option} ${text}`, 'is no list of indices', 'such as 0 or 0,2,3');
}
