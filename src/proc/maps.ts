/**
 * /proc/PID/maps (fs/proc/task_mmu.c: show_map_vma), and the head line that smaps shares with it.
 *
 * Not modelled: devices and inode numbers: a file of a file system stands on device 00:02 and its
 * inode is its number in the model; names of anonymous areas; the vsyscall page.
 */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { VM_EXEC, VM_GROWSDOWN, VM_READ, VM_SHARED, VM_WRITE, type Vma } from '../mm/index.ts';

/** One area, as a line of maps says it. Addresses and offset in bytes. */
export interface MapsArea {
  readonly start: number;
  readonly end: number;
  /** As printed: rwxp, rw-s. */
  readonly perms: string;
  readonly offset: number;
  readonly device: string;
  readonly inode: number;
  /** '' for anonymous memory without a name. */
  readonly name: string;
}

/** Column at which a name begins. */
const NAME_COLUMN = 73;

export function mapsAreaOf(vma: Vma): MapsArea {
  const flag = (bit: number, letter: string) => (vma.has(bit) ? letter : '-');
  const perms = flag(VM_READ, 'r') + flag(VM_WRITE, 'w') + flag(VM_EXEC, 'x');
  const file = vma.file?.kind === 'vdso' ? null : vma.file;
  return {
    start: vma.start * PAGE_SIZE,
    end: vma.end * PAGE_SIZE,
    perms: perms + (vma.has(VM_SHARED) ? 's' : 'p'),
    offset: file === null ? 0 : vma.pgoff * PAGE_SIZE,
    device: deviceOf(vma),
    inode: file === null ? 0 : file.id,
    name: areaName(vma),
  };
}

/** 00:01 is the kernel's own tmpfs, of shared anonymous memory and memfd. */
function deviceOf(vma: Vma): string {
  if (vma.file === null || vma.file.kind === 'vdso') return '00:00';
  return vma.file.kind === 'shmem' || vma.file.kind === 'secretmem' ? '00:01' : '00:02';
}

/** The file, [heap], [stack] or ''. */
export function areaName(vma: Vma): string {
  if (vma.file !== null) return vma.file.name;
  if (isHeap(vma)) return '[heap]';
  return vma.has(VM_GROWSDOWN) ? '[stack]' : '';
}

export function isHeap(vma: Vma): boolean {
  const { brkStart, brk } = vma.mm;
  return brk > brkStart && vma.start < brk && vma.end > brkStart;
}

/** A line of maps, with its end. */
export function formatMapsArea(area: MapsArea): string {
  const hex = (value: number) => value.toString(16).padStart(8, '0');
  const range = `${hex(area.start)}-${hex(area.end)} ${area.perms} ${hex(area.offset)}`;
  const head = `${range} ${area.device} ${area.inode} `;
  return area.name === '' ? `${head}\n` : `${head.padEnd(NAME_COLUMN)}${area.name}\n`;
}

const MAPS_LINE =
  /^([0-9a-f]+)-([0-9a-f]+) ([-r][-w][-x][sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/;

/** The area of one line, or null if it is none. */
export function parseMapsLine(line: string): MapsArea | null {
  const match = MAPS_LINE.exec(line);
  if (match === null) return null;
  const [, start, end, perms, offset, device, inode, name] = match;
  return {
    start: Number.parseInt(start, 16),
    end: Number.parseInt(end, 16),
    perms,
    offset: Number.parseInt(offset, 16),
    device,
    inode: Number(inode),
    name,
  };
}

/** Errors: UserError with the line that is no area. */
export function parseMaps(text: string, file = 'maps'): MapsArea[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line, i) => {
    const area = parseMapsLine(line);
    if (area === null) throw new UserError(`${file}:${i + 1}`, `"${line}" is no area`, 'remove it');
    return area;
  });
}
