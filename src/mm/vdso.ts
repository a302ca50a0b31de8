/**
 * The vDSO: a page of kernel code that every process maps (arch/x86/entry/vdso/vma.c). It is in no
 * page cache and on no LRU list, so it cannot be isolated. MP-33a, MP-67a.
 *
 * On the stock kernels seen the image was a reserved page, which whole-process migration skips; on
 * the 7.3 build it was not, and counts as one folio that could not be moved.
 * Not modelled: vvar, the vDSO's second page, unmapping it.
 */
import { assert } from '../base/assert.ts';
import type { Vpn } from '../base/units.ts';
import { __GFP_DMA32, GFP_KERNEL } from '../uapi/gfp.ts';
import { MAP_PRIVATE, PROT_EXEC, PROT_READ } from '../uapi/mman.ts';
import { PG_RESERVED } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { mmapRegion } from './mmap.ts';
import { allocPages } from './pageAlloc.ts';
import type { Task } from './task.ts';

/** Boot's part: the image, on the first node with CPUs, in low memory as the kernel image is. */
export function createVdso(k: Kernel): MappedFile {
  let frame = allocPages(k.pm, 0, GFP_KERNEL | __GFP_DMA32, k.firstCpuNode(), -1);
  // Machines of tests may have no low zone.
  if (frame < 0) frame = allocPages(k.pm, 0, GFP_KERNEL, k.firstCpuNode(), -1);
  assert(frame >= 0, 'a machine has room for the vDSO');
  if (k.profile.reservedVdso) k.frames.flags[frame] |= PG_RESERVED;
  const image = k.newFile('[vdso]', 'vdso', 1);
  image.specialFrames = Int32Array.of(frame);
  return image;
}

/** execve's part: returns the page number where the process finds the vDSO. */
export function mapVdso(k: Kernel, task: Task, image: MappedFile): Vpn {
  return mmapRegion(k, task.mm!, {
    addr: 0,
    pages: 1,
    prot: PROT_READ | PROT_EXEC,
    flags: MAP_PRIVATE,
    file: image,
    pgoff: 0,
  });
}
