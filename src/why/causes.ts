/**
 * Why a page does not move: each cause with the rules it comes from, one sentence, and what would
 * free the page. Names that mm/failureLog.ts records are the same here.
 */

export interface Cause {
  /** Rule ids of docs/model/rules. */
  readonly rules: string;
  readonly sentence: string;
  /** What would free it; '' where nothing needs to. */
  readonly remedy: string;
}

export const CAUSES = {
  'no-such-process': {
    rules: 'MP-4',
    sentence: 'no process has this pid',
    remedy: 'name a process that is there',
  },
  'no-permission': {
    rules: 'MP-2, MP-5, OV-61',
    sentence:
      'the caller may not: MPOL_MF_MOVE_ALL needs CAP_SYS_NICE, another process ptrace access',
    remedy: 'call as the owner, or with CAP_SYS_NICE and CAP_SYS_PTRACE',
  },
  'no-address-space': {
    rules: 'MP-7',
    sentence: 'the task has no memory: a kernel thread or a zombie',
    remedy: '',
  },
  'no-such-node': {
    rules: 'MP-13',
    sentence: 'the target is no node with memory',
    remedy: 'choose a node of /sys/devices/system/node/has_memory',
  },
  'not-in-cpuset': {
    rules: 'MP-14, OV-62',
    sentence: 'the cpuset does not allow the target node',
    remedy: 'write the node into cpuset.mems of the process',
  },
  'not-mapped': {
    rules: 'MP-20',
    sentence: 'no VMA covers the address',
    remedy: 'name an address of /proc/PID/maps',
  },
  'vma-not-migratable': {
    rules: 'MP-21, OV-30',
    sentence:
      'pages of this VMA are never migrated: VM_IO, VM_PFNMAP, DAX, or a file bound to a low zone',
    remedy: 'nothing: the memory is not the kernel’s to move',
  },
  'not-present': {
    rules: 'MP-22',
    sentence: 'nothing was ever touched there: the page table entry is empty',
    remedy: 'touch the page; a policy decides where it goes then',
  },
  'swapped-out': {
    rules: 'MP-22',
    sentence: 'the page is in swap, not in memory',
    remedy: 'touch the page: it is read into memory by the policy of its VMA',
  },
  'migration-entry': {
    rules: 'MP-22, MC-35',
    sentence: 'the page is being migrated right now: its entries are migration entries',
    remedy: 'ask again when that migration is over',
  },
  'device-entry': {
    rules: 'MP-22',
    sentence: 'the page is in device memory that the CPU cannot address, or exclusive to a device',
    remedy: 'touch the page from a CPU: the driver brings it back',
  },
  'device-page': {
    rules: 'MP-24',
    sentence: 'the page is in memory of a device (ZONE_DEVICE), which these calls leave alone',
    remedy: 'let the driver bring it back (migrate_to_ram, hmm)',
  },
  'poison-entry': {
    rules: 'MP-22, MC-30',
    sentence: 'the memory is poisoned; the entry raises SIGBUS',
    remedy: 'munmap the page or write it anew elsewhere',
  },
  marker: {
    rules: 'MP-22',
    sentence: 'the entry is a marker (uffd-wp, guard, poison): there is no page',
    remedy: 'touch the page where that is allowed',
  },
  'zero-page': {
    rules: 'MP-23',
    sentence: 'the shared zero page is mapped: it is read-only memory of all processes',
    remedy: 'write to the page: it gets a frame of its own',
  },
  'raw-frame': {
    rules: 'MP-22, OV-30',
    sentence: 'a raw frame is mapped, without a struct page that migration could use',
    remedy: 'nothing: a driver mapped it',
  },
  'already-there': {
    rules: 'MP-25',
    sentence: 'the page is on the target node already',
    remedy: '',
  },
  shared: {
    rules: 'MP-26, MP-31, OV-16',
    sentence: 'more than one process maps the folio, and MPOL_MF_MOVE moves only what one maps',
    remedy: 'MPOL_MF_MOVE_ALL with CAP_SYS_NICE, or let the others unmap it',
  },
  'not-on-lru': {
    rules: 'MP-27, MC-5',
    sentence: 'the folio is on no LRU list: somebody has isolated it, or it never was on one',
    remedy: 'wait until reclaim or the other migration puts it back; pages of drivers never are',
  },
  'in-flight': {
    rules: 'MP-27, MC-16',
    sentence: 'another migration holds the folio, isolated and locked',
    remedy: 'ask again when that migration is over',
  },
  'hugetlb-isolated': {
    rules: 'MP-27, MC-6',
    sentence: 'the hugetlb page is isolated already or not in use',
    remedy: 'wait until it is put back',
  },
  'no-hugetlb-page': {
    rules: 'MC-54, MP-112',
    sentence: 'the target node has no free hugetlb page, and none can be made at once',
    remedy: 'raise nr_hugepages of the target node',
  },
  'no-destination-memory': {
    rules: 'MC-49, MP-39',
    sentence:
      'the target node has no free memory above its low watermark for a folio of this order',
    remedy: 'free memory on the target node, or choose another one',
  },
  'caller-not-in-cpuset': {
    rules: 'MC-9, OV-62',
    sentence:
      'the caller’s own cpuset does not allow the target node, so that no frame can be had there',
    remedy: 'call from a cpuset that allows the node',
  },
  'split-first': {
    rules: 'MC-12, MC-85',
    sentence:
      'the large folio is partly unmapped: it is split first, and its pages move one by one',
    remedy: '',
  },
  'folio-locked': {
    rules: 'MC-16',
    sentence: 'the folio is locked and nobody will unlock it while the call waits',
    remedy: 'ask again when the I/O or fault that locked it is over',
  },
  'buffers-busy': {
    rules: 'MC-21, MC-40',
    sentence: 'the file system holds private data on a folio that left the page cache',
    remedy: 'sync the file',
  },
  pinned: {
    rules: 'MC-27, OV-15, PM-22',
    sentence: 'the folio may be DMA-pinned (FOLL_PIN): a device may be writing to the frame',
    remedy: 'let the holder unpin: unregister the buffer, end the I/O, close the handle',
  },
  'extra-reference': {
    rules: 'MC-38, OV-42',
    sentence: 'somebody holds a reference that mappings and caches do not explain',
    remedy: 'let the holder go: read the pipe empty, end the I/O, unpin',
  },
  'no-migrate-operation': {
    rules: 'MC-41',
    sentence: 'the file system has no migrate_folio operation and the folio is dirty',
    remedy: 'delete or truncate the file: ramfs pages are dirty for ever',
  },
  'inaccessible-mapping': {
    rules: 'MC-37',
    sentence: 'the mapping is of a guest that nobody may read',
    remedy: 'nothing: guest_memfd pages do not move',
  },
  secretmem: {
    rules: 'MC-41a',
    sentence: 'secret memory refuses every migration (-EBUSY)',
    remedy: 'unmap and close the memfd_secret file',
  },
  'hardware-poison': {
    rules: 'MC-39',
    sentence: 'a page of the folio has an uncorrectable memory error: the copy stops',
    remedy: 'let memory failure handle it: it is isolated and never used again',
  },
  'pageblock-order': {
    rules: 'MC-80, PM-87',
    sentence: 'compaction passes over folios of a pageblock or more, and hugetlb pages',
    remedy: '',
  },
  unevictable: {
    rules: 'MC-80',
    sentence: 'compact_unevictable_allowed is 0, and the folio is unevictable',
    remedy: 'munlock it, or set vm.compact_unevictable_allowed to 1',
  },
  'no-user-page': {
    rules: 'OV-9, PM-60',
    sentence: 'the frame holds no page of a program or file: no system call moves it',
    remedy: '',
  },
  'not-mapped-by-anybody': {
    rules: 'MP-32',
    sentence: 'no process maps the folio: calls that go by address do not reach it',
    remedy: 'reclaim (memory.reclaim, drop_caches) frees it; compaction and offlining move it',
  },
} as const satisfies Readonly<Record<string, Cause>>;

export type CauseName = keyof typeof CAUSES;
