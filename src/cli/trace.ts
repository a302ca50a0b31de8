/**
 * `hetmem trace`: look into traces, cut parts out of them, turn them into other tools' text and
 * other tools' text into them. All of it streams; results are whole or not there.
 */
import type { Command } from 'commander';

const EXAMPLES = `
Examples:
  hetmem trace info sort.hmt
  hetmem trace cut sort.hmt --accesses 1m..2m -o part.hmt
  perf script -F comm,pid,tid,time,event,addr,data_src | hetmem trace import - -o app.hmt
  hetmem trace export sort.hmt --to csv | head`;

const CUT_EXAMPLES = `
Ranges are START..END, either may be left out; numbers may end in k, m or g, times in ns, us, ms
or s. Mappings made before the part are kept, accesses before it are not; clocks start at 0 again.

Examples:
  hetmem trace cut big.hmt --insn 1g..2g -o part.hmt
  hetmem trace cut big.hmt --tid 0,3 --codec zstd -o main.hmt
  hetmem trace cut broken.hmt --salvage -o whole.hmt`;

export function describe(program: Command): void {
  const trace = program
    .command('trace')
    .description('show, cut, import and export traces of programs')
    .addHelpText('after', EXAMPLES);
  trace
    .command('info')
    .description('what a trace holds and where it comes from')
    .argument('<trace>', 'a trace file')
    .option('--verify', 'read all of it and check every checksum')
    .option('--json', 'print JSON')
    .action(async (path: string, flags) => (await import('./traceContent.ts')).info(path, flags));
  describeCut(trace);
  trace
    .command('export')
    .description('a trace as text')
    .argument('<trace>', 'a trace file')
    .requiredOption('--to <format>', 'text, csv, or lackey (of valgrind)')
    .option('-o, --output <file>', 'where to (default: standard output)')
    .option('--limit <accesses>', 'end after so many accesses')
    .option('--salvage', 'take what is whole of a cut or damaged trace')
    .option('--force', 'replace the output if it exists')
    .addHelpText('after', '\nExamples:\n  hetmem trace export a.hmt --to text --limit 1k | less')
    .action(async (path: string, flags) =>
      (await import('./traceText.ts')).exportText(path, flags),
    );
  trace
    .command('import')
    .description('make a trace of what perf script, valgrind lackey or damo wrote')
    .argument('<input>', 'the file, - for standard input')
    .requiredOption('-o, --output <file>', 'the trace to write')
    .option('--format <name>', 'auto, perf, lackey, damo, damo-perf', 'auto')
    .option('--program <command>', 'what ran, for the record')
    .option('--codec <name>', 'compression: deflate, zstd (smaller, slower) or none', 'deflate')
    .option('--force', 'replace the output if it exists')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExamples:\n  hetmem trace import damon.data -o app.hmt')
    .action(async (path: string, flags) =>
      (await import('./traceText.ts')).importText(path, flags),
    );
}

function describeCut(trace: Command): void {
  trace
    .command('cut')
    .description('a part of a trace as a trace of its own')
    .argument('<trace>', 'a trace file')
    .requiredOption('-o, --output <file>', 'the trace to write')
    .option('--accesses <range>', 'by number of the access')
    .option('--insn <range>', 'by the clock of each thread (header: instructions)')
    .option('--time <range>', 'the same in seconds, where the clock has a rate')
    .option('--rate <per-second>', 'clock units a second, if the trace does not say')
    .option('--pid <list>', 'these processes only (indices of trace info)')
    .option('--tid <list>', 'these threads only')
    .option('--salvage', 'take what is whole of a cut or damaged trace')
    .option('--codec <name>', 'compression: deflate, zstd (smaller, slower) or none', 'deflate')
    .option('--force', 'replace the output if it exists')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', CUT_EXAMPLES)
    .action(async (path: string, flags) => (await import('./traceCut.ts')).cut(path, flags));
}
