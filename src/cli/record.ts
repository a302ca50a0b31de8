/**
 * `hetmem record -o FILE -- PROGRAM ARGS…`: a real program becomes a trace (src/live/record.ts).
 *
 * The trace appears under its name when it is complete. ^C stops the program and keeps the trace
 * so far; a second ^C gives up and leaves nothing. What the program prints stays on its outputs;
 * what we say goes to stderr, with --json the result to stdout.
 */
import type { Command } from 'commander';
import type { CacheSetup, RecordProgress, RecordResult } from '../live/index.ts';
import { say } from './comparisonRun.ts';
import { onInterrupt } from './interrupt.ts';
import { parseCount } from './optionValues.ts';
import { OutputFile } from './outputFile.ts';
import { packageRoot, packageVersion } from './packageRoot.ts';
import { formatDuration, Progress } from './progress.ts';
import { codecOf } from './traceSteps.ts';

interface Flags {
  readonly output: string;
  readonly force?: boolean;
  readonly cache: string;
  readonly codec: string;
  readonly l1?: string;
  readonly l2?: string;
  readonly llc?: string;
  readonly line?: string;
  readonly slice?: string;
  readonly maxAccesses?: string;
  readonly maxInsn?: string;
  readonly skip?: string;
  readonly alignHuge: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  hetmem record -o sort.hmt -- sort -S 300M big.txt
  hetmem record -o redis.hmt --cache server-llc --skip 2g --max-accesses 5m \\
      -- redis-server --port 7000 --save ''

Presets of modelled caches (--cache): server-l2, server-llc, desktop, small, none.
Numbers may end in k, m or g (thousands), sizes of caches in k or m (of 1024).
Needs the Debian packages qemu-user and gcc.`;

export function describe(program: Command): void {
  program
    .command('record')
    .description('record the memory accesses and memory system calls of a real program')
    .usage('-o FILE [options] -- PROGRAM [ARGS...]')
    .argument('<program>', 'x86-64 program or script, found as a shell does')
    .argument('[args...]', 'its arguments')
    .requiredOption('-o, --output <file>', 'the trace to write')
    .option('--force', 'replace the file if it exists')
    .option('--cache <preset>', 'modelled caches; only what misses them is recorded', 'server-l2')
    .option('--l1 <size:ways>', 'L1d of each thread, 0 for none')
    .option('--l2 <size:ways>', 'L2 of each thread, 0 for none')
    .option('--llc <size:ways>', 'cache shared by all threads, 0 for none')
    .option('--line <bytes>', 'line size of the modelled caches')
    .option('--slice <insns>', 'resolution in time: instructions a slice spans at most')
    .option('--skip <insns>', 'of the first instructions keep calls and first touches only')
    .option('--max-accesses <n>', 'end the program after so many recorded accesses')
    .option('--max-insn <n>', 'end the program after so many recorded instructions')
    .option('--codec <name>', 'compression: deflate, zstd (smaller, slower) or none', 'deflate')
    .option('--no-align-huge', 'do not align large anonymous mappings to 2 MiB')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, args: string[], flags: Flags) => run(name, args, flags));
}

async function run(program: string, args: readonly string[], flags: Flags): Promise<void> {
  const live = await import('../live/index.ts');
  const codec = await codecOf(flags.codec);
  const cache = await cacheSetup(flags);
  const limits = {
    accessesMax: count('--max-accesses', flags.maxAccesses, Number.POSITIVE_INFINITY),
    insnMax: count('--max-insn', flags.maxInsn, Number.POSITIVE_INFINITY),
    skipInsn: count('--skip', flags.skip, 0),
  };
  const sliceInsns = count('--slice', flags.slice, live.SLICE_INSNS_DEFAULT);
  const interrupt = new AbortController();
  const progress = new Progress('recording');
  const output = new OutputFile(flags.output, { force: flags.force === true });
  const forget = onInterrupt(() => interrupt.abort());
  try {
    const result = await live.record({
      program,
      args,
      sink: output,
      codec,
      cache,
      limits,
      sliceInsns,
      isAligningHuge: flags.alignHuge,
      nativeFolder: `${packageRoot()}/native`,
      version: packageVersion(),
      date: new Date().toISOString(),
      interrupt: interrupt.signal,
      onProgress: (state) => progress.update(state.accesses, 0, progressNote(state)),
      say,
    });
    progress.clear();
    output.commit();
    for (const line of sentences(flags.output, result)) say(line);
    if (flags.json) process.stdout.write(`${JSON.stringify(jsonOf(flags.output, result))}\n`);
  } catch (error) {
    progress.clear();
    output.discard();
    throw error;
  } finally {
    forget();
  }
}

async function cacheSetup(flags: Flags): Promise<CacheSetup> {
  const { checkCacheSetup, findCachePreset, parseCacheShape } = await import('../live/index.ts');
  const preset = findCachePreset(flags.cache);
  return checkCacheSetup({
    l1: flags.l1 === undefined ? preset.l1 : parseCacheShape('--l1', flags.l1),
    l2: flags.l2 === undefined ? preset.l2 : parseCacheShape('--l2', flags.l2),
    llc: flags.llc === undefined ? preset.llc : parseCacheShape('--llc', flags.llc),
    lineBytes: count('--line', flags.line, preset.lineBytes),
  });
}

function count(option: string, text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : parseCount(option, text, 1);
}

function progressNote(state: RecordProgress): string {
  const seconds = state.elapsedMs / 1000;
  const parts = [
    `${millions(state.accesses)} M accesses`,
    `${mebi(state.touchedBytes)} MiB touched`,
    `${millions(state.accesses / Math.max(seconds, 0.001))} M/s`,
    `file ${mebi(state.fileBytes)} MiB`,
  ];
  if (state.isSkipping) parts.push('(skipping)');
  return parts.join(' · ');
}

/** What happened, one sentence a line. */
function sentences(path: string, result: RecordResult): string[] {
  const lines: string[] = [];
  if (result.stoppedBy === 'limit') lines.push('the limit was reached; the program was ended');
  else if (result.stoppedBy === 'interrupt') {
    lines.push('stopped; the trace holds what was recorded until then');
  } else if (result.signal !== null) {
    lines.push(
      `the program was killed by ${result.signal}; the trace holds what it did until then, ` +
        'but for the last few thousand accesses of each thread',
    );
  } else if (result.status !== 0) {
    lines.push(`the program ended with status ${result.status}; the trace is complete`);
  }
  for (const warning of result.warnings) lines.push(`note: ${warning}`);
  const perAccess = result.accesses > 0 ? result.fileBytes / result.accesses : 0;
  const made = result.accessesMade;
  const share = made > 0 ? ` (${((100 * result.accesses) / made).toFixed(2)}% of those made)` : '';
  lines.push(
    `${path}: ${result.accesses} accesses${share}, ${mebi(result.touchedBytes)} MiB touched, ` +
      `${mebi(result.fileBytes)} MiB (${perAccess.toFixed(2)} bytes an access), ` +
      `${formatDuration(result.elapsedMs)}`,
  );
  return lines;
}

function jsonOf(path: string, result: RecordResult): object {
  return { trace: path, ...result };
}

function millions(value: number): string {
  return (value / 1e6).toFixed(1);
}

function mebi(bytes: number): string {
  const value = bytes / (1024 * 1024);
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
