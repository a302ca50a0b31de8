/**
 * `hetmem proc`: files of /proc and /sys of a modelled machine, byte for byte as the kernel lays
 * them out: after boot, or after steps of a conformance case.
 */
import type { Command } from 'commander';
import type { Kernel } from '../mm/index.ts';
import type { KernelFile, WordsFile } from '../proc/index.ts';
import { decimalOrHex } from './optionValues.ts';

interface Flags {
  readonly state?: string;
  readonly machine?: string;
  readonly case?: string;
  readonly step?: string;
  readonly kernel?: string;
  readonly list?: boolean;
  readonly json?: boolean;
  readonly out?: string;
  readonly offset?: string;
  readonly length?: string;
  readonly force?: boolean;
}

const EXAMPLES = `
Paths are those of Linux, but for /proc/kpagegen (generations of frames, 32 bits each, for
move_phys_pages2); a folder stands for all files below it. Binary files (pagemap, kpageflags,
kpagecount, kpagecgroup, page_idle) are 64-bit words, little-endian, at Linux's offsets. Below --out
they are sparse: a pagemap is up to 256 GiB long and takes what is mapped.

Examples:
  hetmem proc --machine dram-cxl-asic /proc/zoneinfo
  hetmem proc --case mp_move_flags0 --list
  hetmem proc --case mp_move_flags0 --step 3 /proc/100/numa_maps /proc/vmstat
  hetmem proc --case mp_move_flags0 /proc/kpageflags --offset 8 --length 64 | od -A d -t x8
  hetmem proc --machine dram-cxl-asic --out tree /sys/devices/system/node`;

export function describe(program: Command): void {
  program
    .command('proc')
    .description("files of /proc and /sys in the kernel's own layout")
    .argument('[paths...]', 'files or folders as on Linux (with --list and --out: default all)')
    .option('--machine <machine>', 'of a machine after boot: a shipped one or a file')
    .option('--state <file>', 'of a saved state (hetmem run … --save-state)')
    .option('--case <id>', 'after steps of a conformance case: ID, or FILE#ID')
    .option('--step <n>', 'up to and with step n, counted from 0 (default: the last)')
    .option('--kernel <version>', 'the case on another kernel: 7.2, 6.12 or 6.1')
    .option('--list', 'print the paths only')
    .option('--json', 'with --list: print JSON')
    .option('--out <folder>', 'write the files below a folder, at their paths')
    .option('--offset <bytes>', 'of a binary file: where to begin')
    .option('--length <bytes>', 'of a binary file: how much to print')
    .option('--force', 'write over files of --out')
    .addHelpText('after', EXAMPLES)
    .action(proc);
}

async function proc(paths: readonly string[], flags: Flags): Promise<void> {
  const { UserError } = await import('../base/assert.ts');
  const { kernelFiles } = await import('../proc/index.ts');
  const { chosenKernel } = await import('./stateFiles.ts');
  const k = await chosenKernel('hetmem proc', flags);
  const all = kernelFiles(k);
  const isWhole = paths.length === 0 && (flags.list === true || flags.out !== undefined);
  const chosen = isWhole ? all : await choose(k, all, paths);
  if (flags.list === true) return list(chosen, flags.json === true);
  if (flags.out !== undefined) {
    const { writeKernelFiles } = await import('./kernelFileOutput.ts');
    return writeKernelFiles(flags.out, chosen, flags.force === true);
  }
  if (chosen.length === 0) {
    throw new UserError('hetmem proc', 'no file is named', '--list prints the paths');
  }
  for (const file of chosen) {
    if (chosen.length > 1) process.stdout.write(`==> ${file.path} <==\n`);
    if (file.kind === 'text') process.stdout.write(file.text());
    else await printWords(file, flags);
  }
}

/** Each path's file, or all files below it. */
async function choose(
  k: Kernel,
  all: readonly KernelFile[],
  paths: readonly string[],
): Promise<KernelFile[]> {
  const { UserError } = await import('../base/assert.ts');
  const { kernelFileAt } = await import('../proc/index.ts');
  return paths.flatMap((path) => {
    const folder = path.endsWith('/') ? path : `${path}/`;
    const found = all.filter((file) => file.path === path || file.path.startsWith(folder));
    if (found.length > 0) return found;
    const isKnown = kernelFileAt(k, path) !== null;
    const problem = isKnown ? 'ENOENT: not on this machine' : 'not modelled, or no file of Linux';
    throw new UserError(path, problem, '--list prints the paths');
  });
}

function list(files: readonly KernelFile[], isJson: boolean): void {
  if (isJson) {
    const rows = files.map(({ path, kind }) => ({ path, kind }));
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  } else {
    for (const file of files) process.stdout.write(`${file.path}\n`);
  }
}

/** Bytes of a binary file that are printed unless --length says more. */
const PRINTED_MAX = 2 ** 30;

async function printWords(file: WordsFile, flags: Flags): Promise<void> {
  const { UserError } = await import('../base/assert.ts');
  const { errnoName } = await import('../uapi/errno.ts');
  const { bytesOf, WORDS_PER_READ } = await import('./kernelFileOutput.ts');
  if (process.stdout.isTTY) {
    throw new UserError(file.path, 'is binary', 'pipe it: … | od -A d -t x8');
  }
  const offset = flags.offset === undefined ? 0 : decimalOrHex('--offset', flags.offset);
  const rest = Math.max(file.sizeBytes - offset, 0);
  const length = flags.length === undefined ? rest : decimalOrHex('--length', flags.length);
  if (flags.length === undefined && rest > PRINTED_MAX) {
    const gib = Math.round(file.sizeBytes / 2 ** 30);
    throw new UserError(file.path, `is ${gib} GiB long`, '--offset and --length, or --out');
  }
  const end = Math.min(offset + length, offset + rest);
  for (let at = offset; at < end; at += WORDS_PER_READ * 8) {
    const words = file.read(at, Math.min(WORDS_PER_READ * 8, end - at));
    if (typeof words === 'number') {
      const where = `offset ${at}, length ${end - at}`;
      throw new UserError(file.path, `${errnoName(words)} at ${where}`, 'multiples of 8');
    }
    if (!process.stdout.write(bytesOf(words))) {
      await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  }
}
