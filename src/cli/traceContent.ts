/**
 * `hetmem trace info`: provenance, totals, touched memory, processes, threads and events.
 *
 * A finished trace says all this at its end, so nothing else is read; an unfinished or cut one is
 * read as far as it goes. What is wrong with it is said, and the exit code is 1.
 */
import {
  type CacheLevel,
  END,
  FORMAT_VERSION,
  SLICE,
  SummaryBuilder,
  type TraceReader,
  type TraceSummary,
  vpnOfPageWord,
} from '../trace/index.ts';
import { type Column, formatTable } from './table.ts';
import { countText, drive, sizeText } from './traceSteps.ts';

const PAGE_BYTES = 4096;
/** Threads and processes listed at most; --json has all. */
const ROWS_MAX = 20;

export interface InfoFlags {
  readonly verify?: boolean;
  readonly json?: boolean;
}

export async function info(path: string, flags: InfoFlags): Promise<void> {
  const { openTraceFile } = await import('../live/index.ts');
  const { reader, source } = await openTraceFile(path, { salvage: true, lines: flags.verify });
  try {
    const mustRead = flags.verify === true || reader.summary === null;
    const read = mustRead
      ? await drive(scan(reader), `reading ${path}`, reader.totals?.accesses ?? 0)
      : null;
    const summary = reader.summary ?? read;
    if (summary === null) return;
    if (flags.json === true) print(JSON.stringify(jsonOf(path, reader, summary), null, 2));
    else print(textOf(path, reader, summary, flags.verify === true));
    if (reader.damage === null) return;
    process.stderr.write(`hetmem: ${reader.damage}\n`);
    process.exitCode = 1;
  } finally {
    source.close();
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Reads the whole trace and makes its summary anew. */
function* scan(reader: TraceReader): Generator<number, TraceSummary, void> {
  const summary = new SummaryBuilder();
  let nrProcesses = 0;
  let nrThreads = 0;
  for (let kind = reader.next(); kind !== END; kind = reader.next()) {
    for (; nrProcesses < reader.processes.length; nrProcesses++) summary.addProcess();
    for (; nrThreads < reader.threads.length; nrThreads++) summary.addThread();
    if (kind !== SLICE) {
      summary.event(reader.event);
      continue;
    }
    const { pid, tid, insnStart, insnEnd, accesses, count, page, weight } = reader.slice;
    summary.slice(pid, tid, insnStart, insnEnd, accesses);
    const bases = reader.regionBase(pid);
    for (let run = 0; run < count; run++) {
      summary.run(pid, vpnOfPageWord(bases, page[run]), page[run] & 1, weight[run]);
    }
    yield reader.nrAccesses;
  }
  return summary.build();
}

function jsonOf(path: string, reader: TraceReader, summary: TraceSummary): object {
  return {
    trace: path,
    formatVersion: reader.formatVersion,
    fileBytes: reader.sizeBytes,
    damage: reader.damage,
    header: reader.header,
    summary,
    ...reader.declared(),
  };
}

function textOf(
  path: string,
  reader: TraceReader,
  summary: TraceSummary,
  isVerified: boolean,
): string {
  const { header } = reader;
  const touched = summary.processes.reduce((sum, process) => sum + process.touchedPages, 0);
  const written = summary.processes.reduce((sum, process) => sum + process.writtenPages, 0);
  const perAccess = summary.accesses > 0 ? reader.sizeBytes / summary.accesses : 0;
  const writes = summary.accesses > 0 ? (100 * summary.writes) / summary.accesses : 0;
  const command = [header.program, ...header.args].filter((word) => word !== '').join(' ');
  const recorder = `${header.recorder.name} ${header.recorder.version}`.trim();
  const rows: [string, string][] = [
    ['file', `${path}, ${sizeText(reader.sizeBytes)}, format ${formatText(reader.formatVersion)}`],
    ['program', command === '' ? 'unknown' : command],
    ['recorded', [`by ${recorder}`, header.date, header.host].filter((s) => s !== '').join(', ')],
    ['accesses', `${kindText(header.accessKind, header.filter)}`],
    ['clock', clockText(header.timeBase)],
    [
      'content',
      `${countText(summary.accesses)} accesses (${writes.toFixed(1)}% writes) in ` +
        `${countText(summary.slices)} slices, ${countText(summary.events)} events; ` +
        `${perAccess.toFixed(2)} bytes an access`,
    ],
    ['touched', `${sizeText(touched * PAGE_BYTES)}, written ${sizeText(written * PAGE_BYTES)}`],
  ];
  for (const [name, value] of Object.entries(summary.recorder)) {
    const text = typeof value === 'number' ? countText(value) : String(value);
    if (text !== '') rows.push([wordsOf(name), text]);
  }
  for (const note of header.notes) rows.push(['note', note]);
  for (const step of header.history) rows.push(['history', step]);
  if (isVerified && reader.damage === null) rows.push(['verified', 'every checksum is right']);
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  return [...lines, ...tablesOf(reader, summary)].join('\n').trimEnd();
}

/** What recorders call their counts, in words: skippedKernel is "skipped kernel". */
function wordsOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function tablesOf(reader: TraceReader, summary: TraceSummary): string[] {
  const { processes, threads } = reader.declared();
  const tables: string[] = [];
  const add = (columns: readonly Column[], rows: (string | number)[][]) => {
    if (rows.length === 0) return;
    tables.push('', formatTable(columns, rows.slice(0, ROWS_MAX)).trimEnd());
    if (rows.length > ROWS_MAX) tables.push(`… and ${rows.length - ROWS_MAX} more (--json)`);
  };
  const right = 'right' as const;
  add(
    [
      { title: 'pid', align: right },
      { title: 'process' },
      { title: 'accesses', align: right },
      { title: 'touched', align: right },
      { title: 'written', align: right },
    ],
    summary.processes.map((process, pid) => [
      pid,
      processes[pid]?.name ?? '',
      countText(process.accesses),
      sizeText(process.touchedPages * PAGE_BYTES),
      sizeText(process.writtenPages * PAGE_BYTES),
    ]),
  );
  add(
    [
      { title: 'tid', align: right },
      { title: 'pid', align: right },
      { title: 'thread' },
      { title: 'accesses', align: right },
      { title: 'clock from', align: right },
      { title: 'to', align: right },
    ],
    summary.threads.map((thread, tid) => [
      tid,
      threads[tid]?.pid ?? '',
      threads[tid]?.name ?? '',
      countText(thread.accesses),
      countText(thread.insnFirst),
      countText(thread.insnLast),
    ]),
  );
  const kinds = Object.entries(summary.eventsByKind);
  add([{ title: 'event' }, { title: 'count', align: right }], kinds);
  return tables;
}

function formatText(version: number): string {
  return version === FORMAT_VERSION ? String(version) : `${version} (newest: ${FORMAT_VERSION})`;
}

function kindText(kind: string, filter: readonly CacheLevel[]): string {
  const levels = filter.map(({ name, sizeBytes, ways, lineBytes, shared }) => {
    const where = shared ? 'shared' : 'per thread';
    return `${name} ${sizeText(sizeBytes)}, ${ways} ways, ${lineBytes}-byte lines, ${where}`;
  });
  return [kind, ...levels].join('; ');
}

function clockText(timeBase: { readonly unit: string; readonly unitsPerSecond: number }): string {
  const { unit, unitsPerSecond } = timeBase;
  const isKnown = unitsPerSecond > 0 && unit !== 'nanoseconds';
  return isKnown ? `${unit}, ${countText(unitsPerSecond)} a second` : unit;
}
