/**
 * Files and their page cache (struct address_space, include/linux/fs.h; mm/filemap.c, mm/shmem.c).
 * OV-22..OV-24a. One index of the cache holds a frame, a swap entry (shmem) or nothing; a large
 * folio fills nr indexes. What a file system can and cannot do is a row of FILE_KINDS.
 *
 * Not modelled: names, directories, permissions, block layout; shadow entries.
 */
import type { FrameId } from '../base/units.ts';
import { ZONE_MOVABLE, ZONE_NORMAL, type ZoneType } from '../uapi/zone.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Mempolicy } from './mempolicy.ts';
import type { Vma } from './vma.ts';

export type FileKind =
  | 'shmem'
  | 'tmpfs'
  | 'ext4'
  | 'ramfs'
  | 'secretmem'
  | 'devmem'
  | 'dax'
  | 'devdax'
  | 'inserted'
  | 'vdso'
  | 'hugetlb'
  | 'bdev'
  | 'guest_memfd';

/**
 * a_ops->migrate_folio: 'generic' copies and switches; 'buffers' locks the buffer heads first, and
 * 'buffers-norefs' wants them unused (MC-40); 'none' leaves the fallback, which refuses dirty
 * folios (MC-41: ramfs, dirty for ever); 'refuses' is an operation that says -EBUSY (MC-41a).
 */
export type MigrateFolioOp = 'generic' | 'buffers' | 'buffers-norefs' | 'none' | 'refuses';

interface FileKindTraits {
  /** Pages are swapbacked: LRU anon lists, swapped out under pressure. */
  readonly swapbacked: boolean;
  /** The file system keeps private data on each folio: one more reference (OV-24a). */
  readonly private_: boolean;
  /** Dirty pages can be written to a backing store and dropped. */
  readonly writeback: boolean;
  readonly migrateFolio: MigrateFolioOp;
  /** The kernel may not read the pages: they are never copied (MC-37). */
  readonly inaccessible?: boolean;
  /** write(2) may create large folios (OV-24a). */
  readonly largeFolios: boolean;
  readonly gfpZone: ZoneType;
  readonly unevictable: boolean;
}

/** Files whose pages are no page cache: of devices, of drivers (vm_insert_page), raw frames. */
const NO_CACHE: FileKindTraits = {
  swapbacked: false,
  private_: false,
  writeback: false,
  migrateFolio: 'none',
  largeFolios: false,
  gfpZone: ZONE_NORMAL,
  unevictable: true,
};

const FILE_KINDS: Readonly<Record<FileKind, FileKindTraits>> = {
  shmem: {
    swapbacked: true,
    private_: false,
    writeback: false,
    migrateFolio: 'generic',
    largeFolios: false,
    gfpZone: ZONE_MOVABLE,
    unevictable: false,
  },
  tmpfs: {
    swapbacked: true,
    private_: false,
    writeback: false,
    migrateFolio: 'generic',
    largeFolios: false,
    gfpZone: ZONE_MOVABLE,
    unevictable: false,
  },
  ext4: {
    swapbacked: false,
    private_: true,
    writeback: true,
    migrateFolio: 'buffers',
    largeFolios: true,
    gfpZone: ZONE_MOVABLE,
    unevictable: false,
  },
  ramfs: {
    swapbacked: false,
    private_: false,
    writeback: false,
    migrateFolio: 'none',
    largeFolios: false,
    gfpZone: ZONE_NORMAL,
    unevictable: true,
  },
  secretmem: {
    swapbacked: false,
    private_: false,
    writeback: false,
    migrateFolio: 'refuses',
    largeFolios: false,
    gfpZone: ZONE_NORMAL,
    unevictable: true,
  },
  vdso: {
    swapbacked: false,
    private_: false,
    writeback: false,
    migrateFolio: 'none',
    largeFolios: false,
    gfpZone: ZONE_NORMAL,
    unevictable: false,
  },
  hugetlb: {
    swapbacked: false,
    private_: false,
    writeback: false,
    migrateFolio: 'generic',
    largeFolios: false,
    gfpZone: ZONE_MOVABLE,
    unevictable: false,
  },
  // The page cache of a block device: file systems' metadata.
  bdev: {
    swapbacked: false,
    private_: true,
    writeback: true,
    migrateFolio: 'buffers-norefs',
    largeFolios: false,
    gfpZone: ZONE_NORMAL,
    unevictable: false,
  },
  guest_memfd: {
    swapbacked: false,
    private_: false,
    writeback: false,
    migrateFolio: 'none',
    inaccessible: true,
    largeFolios: false,
    gfpZone: ZONE_NORMAL,
    unevictable: true,
  },
  dax: NO_CACHE,
  devdax: NO_CACHE,
  inserted: NO_CACHE,
  devmem: NO_CACHE,
};

/** One shared policy of a range of a shmem object (OV-31). */
export interface SharedPolicyRange {
  readonly start: number;
  readonly end: number;
  readonly policy: Mempolicy;
}

export class MappedFile {
  readonly id: number;
  readonly name: string;
  readonly kind: FileKind;
  sizePages: number;
  /** tmpfs mounted huge=always: faults try a PMD-order folio. */
  hugeAlways = false;
  /** Page index -> frame of that page (>= 0), or -1 - swap slot for swapped-out shmem. */
  readonly pages: Map<number, number> = new Map();
  /**
   * Frames of a mapping without a page cache, -1 = none: the vDSO (struct vm_special_mapping),
   * files that are device memory.
   */
  specialFrames: Int32Array | null = null;
  /** Content words of pages that are in the backing store and not in the cache. */
  readonly backing: Map<number, number> = new Map();
  /** Every VMA that maps the file (OV-36). */
  readonly vmas: Vma[] = [];
  sharedPolicy: SharedPolicyRange[] = [];
  /** hugetlb: whose private mapping this is (null: shared), and the huge pages still promised. */
  hugetlbOwner: AddressSpace | null = null;
  readonly hugetlbPromised: Set<number> = new Set();
  /** Open descriptors and names; the cache goes when this and `vmas` are empty. */
  openCount = 1;

  constructor(id: number, name: string, kind: FileKind, sizePages: number) {
    this.id = id;
    this.name = name;
    this.kind = kind;
    this.sizePages = sizePages;
  }

  get traits(): FileKindTraits {
    return FILE_KINDS[this.kind];
  }

  get gfpZone(): ZoneType {
    return this.traits.gfpZone;
  }

  isShmem(): boolean {
    return this.kind === 'shmem' || this.kind === 'tmpfs';
  }

  /** The cached frame of a page, or -1. */
  frameAt(index: number): FrameId {
    if (this.specialFrames !== null) return this.specialFrames[index] ?? -1;
    const value = this.pages.get(index);
    return value === undefined || value < 0 ? -1 : value;
  }

  /** The swap slot that holds a page of a shmem object, or -1. */
  swapSlotAt(index: number): number {
    const value = this.pages.get(index);
    return value === undefined || value >= 0 ? -1 : -1 - value;
  }

  policyAt(index: number): Mempolicy | null {
    for (const range of this.sharedPolicy) {
      if (index >= range.start && index < range.end) return range.policy;
    }
    return null;
  }
}
