/**
 * All files of /proc and /sys that the model can show, by their paths on Linux, as root reads them.
 *
 * Files that this machine or kernel version lacks answer -ENOENT; a path of a kind that the model
 * has on no machine is null.
 */
import { type Kernel, TASK_SIZE_PAGES, Task } from '../mm/index.ts';
import { ENOENT } from '../uapi/errno.ts';
import { buddyinfoOf, formatBuddyinfo, formatPagetypeinfo, pagetypeinfoOf } from './buddyinfo.ts';
import { DAMON_ROOT, damonFiles } from './damonFiles.ts';
import type { KernelFile, TextFile, WordsFile } from './kernelFile.ts';
import { textFile } from './kernelFile.ts';
import {
  KpageFile,
  kpagecgroupOf,
  kpagecountOf,
  kpageflagsOf,
  maxDumpPfn,
  maxPfn,
} from './kpageFile.ts';
import { KpagegenFile } from './kpagegenFile.ts';
import { formatMeminfo, meminfoOf } from './meminfo.ts';
import { memoryBlockFiles } from './memoryBlockFiles.ts';
import { nodeFiles } from './nodeFiles.ts';
import { PageIdleFile } from './pageIdleFile.ts';
import { PagemapFile } from './pagemapFile.ts';
import { PROCESS_FILES, readProcessFile } from './processFile.ts';
import { settingFiles } from './settingFiles.ts';
import { formatSwaps, swapsOf } from './swaps.ts';
import { vmstatText } from './vmstatFile.ts';
import { WORD_BYTES } from './wordFile.ts';
import { formatZoneinfo, zoneinfoOf } from './zoneinfo.ts';

/** Every file of this machine on this kernel version, by path. */
export function kernelFiles(k: Kernel): KernelFile[] {
  const files = everyFile(k).filter((file) => exists(k, file));
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The file at `path`; -ENOENT if this machine has none; null if the model has none. */
export function kernelFileAt(k: Kernel, path: string): KernelFile | number | null {
  const files = everyFile(k);
  const file = files.find((candidate) => candidate.path === path);
  if (file !== undefined) return exists(k, file) ? file : -ENOENT;
  if (path.startsWith(`${DAMON_ROOT}/`)) return -ENOENT;
  const shape = shapeOf(path);
  return files.some((candidate) => shapeOf(candidate.path) === shape) ? -ENOENT : null;
}

/** Paths that differ in numbers only are of one kind: another node, tier, process. */
function shapeOf(path: string): string {
  return path.replace(/\d+/g, '0');
}

function exists(k: Kernel, file: KernelFile): boolean {
  return file.kind === 'words' || file.behaviour === undefined || k.profile[file.behaviour];
}

function everyFile(k: Kernel): KernelFile[] {
  const tasks = [...k.tasks.values()].filter((task) => task.pid === task.tgid && !task.exited);
  return [
    ...machineFiles(k),
    ...memoryBlockFiles(k),
    ...nodeFiles(k),
    ...settingFiles(k),
    ...damonFiles(k),
    ...tasks.flatMap((task) => filesOfProcess(k, task)),
  ];
}

function machineFiles(k: Kernel): KernelFile[] {
  return [
    textFile('/proc/buddyinfo', () => formatBuddyinfo(buddyinfoOf(k))),
    kpageFile(k, '/proc/kpagecgroup', kpagecgroupOf),
    kpageFile(k, '/proc/kpagecount', kpagecountOf),
    kpageFile(k, '/proc/kpageflags', kpageflagsOf),
    kpagegenFile(k),
    textFile('/proc/meminfo', () => formatMeminfo(meminfoOf(k))),
    textFile('/proc/pagetypeinfo', () => formatPagetypeinfo(pagetypeinfoOf(k))),
    textFile('/proc/swaps', () => formatSwaps(swapsOf(k))),
    textFile('/proc/vmstat', () => vmstatText(k)),
    textFile('/proc/zoneinfo', () => formatZoneinfo(zoneinfoOf(k))),
    pageIdleFile(k),
  ];
}

function kpageFile(k: Kernel, path: string, wordAt: (k: Kernel, pfn: number) => number): WordsFile {
  const file = new KpageFile(k, wordAt);
  const sizeBytes = maxDumpPfn(k) * WORD_BYTES;
  return {
    kind: 'words',
    path,
    sizeBytes,
    extents: () => [{ offset: 0, length: sizeBytes }],
    read: (offset, length) => file.read(offset, length),
  };
}

function kpagegenFile(k: Kernel): WordsFile {
  const file = new KpagegenFile(k);
  const { sizeBytes } = file;
  return {
    kind: 'words',
    path: '/proc/kpagegen',
    sizeBytes,
    extents: () => [{ offset: 0, length: sizeBytes }],
    read: (offset, length) => file.read(offset, length),
  };
}

function pageIdleFile(k: Kernel): WordsFile {
  const file = new PageIdleFile(k);
  const sizeBytes = Math.floor(maxPfn(k) / 64) * WORD_BYTES;
  return {
    kind: 'words',
    path: '/sys/kernel/mm/page_idle/bitmap',
    sizeBytes,
    extents: () => [{ offset: 0, length: sizeBytes }],
    read: (offset, length) => file.read(offset, length),
  };
}

/** Who reads: root with all capabilities, of another process. */
const ROOT = new Task(0, 0, null, -1);

function filesOfProcess(k: Kernel, task: Task): KernelFile[] {
  const at = `/proc/${task.pid}`;
  // Threads of the kernel have no memory to show; their files are there and empty.
  const texts = PROCESS_FILES.map((name): TextFile => {
    return textFile(`${at}/${name}`, () => {
      const text = readProcessFile(k, ROOT, task, name);
      return typeof text === 'string' ? text : '';
    });
  });
  const mm = task.mm;
  if (mm === null) return texts;
  const file = new PagemapFile(k, mm, ROOT);
  const pagemap: WordsFile = {
    kind: 'words',
    path: `${at}/pagemap`,
    sizeBytes: TASK_SIZE_PAGES * WORD_BYTES,
    extents: () =>
      mm.vmas.map((vma) => ({ offset: vma.start * WORD_BYTES, length: vma.nrPages * WORD_BYTES })),
    read: (offset, length) => file.read(offset, length),
  };
  return [...texts, pagemap];
}
