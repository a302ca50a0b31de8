/**
 * The parts of the modelled kernel that the fuzzer calls. Tests outside src/ go through one file,
 * so that what they depend on can be read in one place.
 */
export { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, PAGE_SIZE } from '../../../src/base/units.ts';
export {
  type Accelerator,
  AcceleratorContext,
  type AcceleratorSpec,
  type BounceSpec,
  CoherentAccelerator,
  DeviceDax,
  Dmirror,
  DmirrorDevice,
  type DmirrorResult,
  FsDax,
  hmmDmaMapPfn,
  P2pProvider,
  type PciPlace,
  PrivateAccelerator,
} from '../../../src/drivers/index.ts';
export {
  DEFAULT_KERNEL,
  DEVICE_COST_DEFAULTS,
  KERNEL_VERSIONS,
  type KernelVersion,
  type MachineSpec,
} from '../../../src/hw/index.ts';
export type { AddressSpace } from '../../../src/mm/addressSpace.ts';
export { allocContigRange, freeContigRange } from '../../../src/mm/allocContigRange.ts';
export { type CmaArea, cmaAlloc, cmaRelease } from '../../../src/mm/cma.ts';
export { compactNode } from '../../../src/mm/compactZone.ts';
export {
  attachTask,
  type Cpuset,
  createCpuset,
  rootCpuset,
  writeCpusetMems,
} from '../../../src/mm/cpuset.ts';
export {
  accessPage,
  FAULT_ERROR,
  FAULT_OOM,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
  wantsWriteNotify,
} from '../../../src/mm/fault.ts';
export { syncFile, writeFilePages } from '../../../src/mm/fileWrite.ts';
export { Folios } from '../../../src/mm/folio.ts';
export { releaseFolio } from '../../../src/mm/folioLifecycle.ts';
export { cloneThread, exitTask, forkTask, reapTask } from '../../../src/mm/fork.ts';
export * from '../../../src/mm/frameTable.ts';
export {
  getUserPages,
  getUserPagesFast,
  pinUserPages,
  pinUserPagesFast,
  unpinUserPages,
} from '../../../src/mm/gup.ts';
export { newHugetlbFile } from '../../../src/mm/hugetlb.ts';
export { isPageIdle, setPageIdle } from '../../../src/mm/idlePages.ts';
export { findBrokenInvariants } from '../../../src/mm/invariants.ts';
export { isolateFolio, putbackMovablePages } from '../../../src/mm/isolateFolio.ts';
export { kcompactdStep, proactiveStep } from '../../../src/mm/kcompactd.ts';
export { Kernel } from '../../../src/mm/kernel.ts';
export type { KernelReclaim } from '../../../src/mm/kernelReclaim.ts';
export { setMergeAcrossNodes } from '../../../src/mm/ksm.ts';
export { ksmScan } from '../../../src/mm/ksmScan.ts';
export { madviseRange } from '../../../src/mm/madvise.ts';
export type { FileKind, MappedFile } from '../../../src/mm/mappedFile.ts';
export { MEM_OFFLINE } from '../../../src/mm/memoryBlocks.ts';
export { injectError } from '../../../src/mm/memoryFailure.ts';
export { type Mempolicy, makePolicy } from '../../../src/mm/mempolicy.ts';
export {
  isFsDax,
  MEMORY_DEVICE_FS_DAX,
  MEMORY_DEVICE_GENERIC,
  MEMORY_DEVICE_PCI_P2PDMA,
} from '../../../src/mm/memremap.ts';
export { MigrationOp } from '../../../src/mm/migrate.ts';
export { applyLockFlags, populateRange } from '../../../src/mm/mlockRange.ts';
export { mmapRegion, munmapRange, setBrk } from '../../../src/mm/mmap.ts';
export { mprotectRange } from '../../../src/mm/mprotect.ts';
export { mremapRange } from '../../../src/mm/mremap.ts';
export { taskNumaWork } from '../../../src/mm/numaScan.ts';
export { blockOfflineObstacles } from '../../../src/mm/offlineObstacles.ts';
export { OfflineOp } from '../../../src/mm/offlinePages.ts';
export { ONLINE_TYPES, writeBlockState } from '../../../src/mm/onlinePages.ts';
export * from '../../../src/mm/pageTable.ts';
export { PAGE_ZERO, pageAt } from '../../../src/mm/pageWalk.ts';
export { type PlainNode, plainMachine } from '../../../src/mm/plainMachine.ts';
export { memoryReclaim } from '../../../src/mm/proactiveReclaim.ts';
export { splitFolio } from '../../../src/mm/splitFolio.ts';
export { SwapArea } from '../../../src/mm/swap.ts';
export type { Task } from '../../../src/mm/task.ts';
export { truncateFile } from '../../../src/mm/truncate.ts';
export { userfaultProtect, userfaultRegister } from '../../../src/mm/userfaultfd.ts';
export { VM_LOCKED, VM_LOCKONFAULT } from '../../../src/mm/vma.ts';
export { mergeRange, splitAtEnds } from '../../../src/mm/vmaList.ts';
export { mbind } from '../../../src/syscalls/mbind.ts';
export { migratePagesCall } from '../../../src/syscalls/migratePages.ts';
export { movePages } from '../../../src/syscalls/movePages.ts';
export { UserAddresses, UserInts } from '../../../src/syscalls/userMemory.ts';
export * from '../../../src/uapi/errno.ts';
export { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../../../src/uapi/gfp.ts';
export { FOLL_LONGTERM, FOLL_PCI_P2PDMA, FOLL_WRITE } from '../../../src/uapi/gup.ts';
export * from '../../../src/uapi/mempolicy.ts';
export * from '../../../src/uapi/migrate.ts';
export * from '../../../src/uapi/mman.ts';
export { NR_FREE_PAGES, PGDEMOTE_DIRECT } from '../../../src/uapi/vmstat.ts';
export { ZONE_MOVABLE, ZONE_NORMAL, type ZoneType } from '../../../src/uapi/zone.ts';
