/**
 * What a saved state holds: every class of the modelled kernel with all its fields, in one place.
 * A class or field of src/mm that is not named here fails `test/tidy.test.ts` and, when a state is
 * saved, an assertion; a field in the wrong place is a different layout, so old files are refused.
 *
 * Plain objects (interfaces) need no entry: they are saved with the keys they have.
 */
import { RandomStream } from '../base/prng.ts';
import {
  AcceleratorContext,
  Balloon,
  Bounces,
  CoherentAccelerator,
  CopyEngine,
  DeviceDax,
  DevicePages,
  Dmirror,
  DmirrorDevice,
  FsDax,
  P2pProvider,
  PeerAccelerator,
  PrivateAccelerator,
  ZsPool,
} from '../drivers/index.ts';
import {
  AddressSpace,
  AnonVma,
  Buddy,
  BufferHeads,
  CmaArea,
  CompactionState,
  Cpuset,
  DeviceMemory,
  FailureLog,
  Folios,
  FrameTable,
  HotplugSettings,
  HugetlbPool,
  Kernel,
  KernelReclaim,
  KernelTrace,
  Khugepaged,
  Ksm,
  Lru,
  MappedFile,
  MemoryBlocks,
  MemoryTiers,
  Mempolicy,
  MigrationOp,
  MmuInterval,
  MovableOps,
  NodeThreads,
  OfflineOp,
  Pageblocks,
  PhysicalMemory,
  PromotionState,
  PteTables,
  ShadowPages,
  SwapArea,
  Task,
  Vma,
  VmStat,
  Zone,
  Zonelists,
} from '../mm/index.ts';
import { SavedClasses, savedClass } from './savedClass.ts';

const KERNEL = savedClass(
  Kernel,
  `spec
   pm
   frames
   folios
   vmstat
   ptes
   lru
   tiers
   devices
   swap
   sysctl
   ksm
   hugetlb
   shadows
   buffers
   movableOps
   khugepaged
   failures
   offlining
   compaction
   damon
   cma
   hotplug
   nodeThreads
   random
   topCpuset
   tasks
   files
   anonVmas
   spaces
   deferredSplit
   inFlight
   trace
   holders
   nextHolderId
   interleaveWeights
   interleaveAuto
   zeroFrame
   hugeZeroHead
   promotion
   pinsStayInMovable
   poisonedPages
   oom
   currentMm
   nowNs
   kswapdWoken
   #nextPid
   #freeAnonVmas
   #freeSpaces`,
  null,
  'rmap onMigrated letOthersRun memoryNotifiers',
);

/** Who runs, and the names of threads; whoever listens attaches again. */
const TRACE = savedClass(
  KernelTrace,
  'pid cpu kswapdAwake comms',
  null,
  `points compaction mmMigratePages mmMigratePagesStart setMigrationPte removeMigrationPte
   setMigrationPmd removeMigrationPmd wakeupKswapd kswapdWake kswapdSleep directReclaimBegin
   directReclaimEnd memcgReclaimBegin memcgReclaimEnd nodeReclaimBegin nodeReclaimEnd lruIsolate
   lruShrinkInactive lruShrinkActive`,
);

const EMPTY_SPAN = {
  startPfn: 0,
  endPfn: 0,
  presentRanges: [],
  reservedPages: 0,
  cmaPages: 0,
};

const PHYSICAL = [
  savedClass(
    PhysicalMemory,
    `spec frames vmstat blocks buddy zones nodes nodesWithMemory nodesWithCpu highestNid
     nrOnlineNodes memoryBlocks graph zonelists capable nofragmentZone hooks currentNid
     userMinFreeKbytes
     followsThpRecommendedMin minFreeKbytes watermarkScaleFactor watermarkBoostFactor`,
  ),
  savedClass(
    FrameTable,
    `nrFrames spareSections flags refcount mapcount mapping indexLow private_ lruNext lruPrev
     generation lastCpupid orderIndexHigh content #frameSectionOf #pfnSectionOf #added`,
  ),
  savedClass(Folios, 'frames sharedByMmIds'),
  savedClass(
    Zone,
    `id nid type name startPfn endPfn presentRanges reservedStart managedStart presentPages
     presentEarlyPages managedPages cmaPages watermark watermarkBoost demoteMark
     boostWakesKswapd lowmemReserve
     nrIsolatePageblock freeLists orderMask pristine`,
    () => new Zone(0, 0, 0, EMPTY_SPAN),
  ),
  savedClass(MemoryBlocks, 'blockPages maxPfn state zoneId nid frames'),
  savedClass(NodeThreads, 'k blocks'),
  savedClass(
    CompactionState,
    `proactiveness extfragThreshold unevictableAllowed skip considered deferShift orderFailed
     cachedMigrateAsync cachedMigrateSync cachedFree flushSkip kcompactdWoken kcompactdOrder
     kcompactdHighest proactiveDefer`,
  ),
  savedClass(CmaArea, 'name basePfn count bitmap available allocated failed released'),
  savedClass(HotplugSettings, 'onlinePolicy autoMovableRatio autoMovableNumaAware'),
  savedClass(
    OfflineOp,
    'startPfn nrPages signalPending passes result k zone start end from done',
    () => new OfflineOp(null as never, null as never, 0, 0, 0),
  ),
  savedClass(
    Pageblocks,
    'nrBlocks zoneOfBlock nidOfBlock migratetypeOfBlock isolatedBlock pristineBlock',
  ),
  savedClass(Buddy, 'frames blocks zoneStat flags order next prev zoneOfBlock'),
  savedClass(Zonelists, 'nodesInFallback fallback thisNode nodeOrder'),
  savedClass(VmStat, 'zone node numa event nrZones nrNodes'),
  savedClass(MemoryTiers, '#pm #abstractDistances #tiers #topTierAdistance #tierIndex #preferred'),
  savedClass(HugetlbPool, '#k #free nrHuge surplus reserved overcommit nextToAlloc nextToFree'),
  savedClass(
    Lru,
    '#pm #frames #folios head tail #batch #batched #lazyfree disabledBy',
    null,
    'putFolio mappingUnevictable',
  ),
  savedClass(
    KernelReclaim,
    'inReclaim memallocPin memallocNocma #k #priority #highest #order #failures',
  ),
  savedClass(
    Khugepaged,
    `pagesToScan maxPtesNone maxPtesSwap maxPtesShared pagesCollapsed fullScans nextPid nextVpn`,
  ),
  savedClass(
    ShadowPages,
    `#k #shadow #generation #committing isRemap committed aborted kept droppedByWrite remapped
     reclaimed`,
  ),
  savedClass(BufferHeads, 'locked references'),
  savedClass(SwapArea, 'nrSlots #counts #cached #content #next used'),
];

const SPACES = [
  savedClass(
    AddressSpace,
    `id vmas nrSlots leaf pmd pmdByte deposit slotVpn #slotOfPmd rssAnon rssFile rssShmem swapEnts
     hugetlbPages lockedVm pinnedVm users dumpable mmapBase brkStart brk lockFutureFlags vdsoNid
     numaScanOffset numaScanSeq numaNextScanNs intervals #lastVma`,
    () => new AddressSpace(1),
  ),
  savedClass(
    Vma,
    'mm start end flags pgoff file policy anonVma anonVmaChain',
    () => new Vma(null as never, 0, 0, 0, 0),
  ),
  savedClass(AnonVma, 'id vmas', () => new AnonVma(0)),
  savedClass(PteTables, 'words bytes frameOf #nextFree #firstFree #used nrTables'),
  savedClass(
    MappedFile,
    `id name kind sizePages hugeAlways pages specialFrames backing vmas sharedPolicy
     hugetlbOwner hugetlbPromised openCount`,
    () => new MappedFile(0, '', 'shmem', 0),
  ),
  savedClass(Ksm, 'nodes mergeAcrossNodes maxPageSharing smartScan seen ages', () => new Ksm(true)),
];

const TASKS = [
  savedClass(
    Task,
    `pid tgid parent comm mm uid euid suid gid egid sgid caps cpu cpuNid policy ilPrev ilWeight
     memsAllowed cpuset exited pendingSignal rlimitMemlock numaPreferredNid`,
    () => new Task(0, 0, null, 0),
  ),
  savedClass(Mempolicy, 'mode flags nodes userNodes homeNode', () => new Mempolicy(0, 0, 0, 0)),
  savedClass(
    Cpuset,
    'parent children legacy memoryMigrate mems effectiveMems oldMems',
    () => new Cpuset(null, 0, false),
  ),
  savedClass(
    PromotionState,
    'thresholdMs #thresholdStartMs #thresholdCandidates #rateStartMs #rateBase',
  ),
  savedClass(
    MigrationOp,
    '#k #call result',
    () => new MigrationOp(null as never, [], { nid: -1, mask: -1, gfp: 0 }, 0, 0),
  ),
  savedClass(FailureLog, 'pages frame cause reason written'),
  savedClass(RandomStream, '#generator', () => new RandomStream(0, '')),
];

const DEVICES = [
  savedClass(DeviceMemory, '#bySection pagemaps #live physPagesMin physPagesMax'),
  savedClass(
    MmuInterval,
    'mm start end listener seq',
    () => new MmuInterval(null as never, 0, 0, null as never),
  ),
  savedClass(
    DmirrorDevice,
    'name k coherentPfn nid chunkPages chunks mirrors fresh freePages freeFolios failsNext',
    () => new DmirrorDevice(null as never, { name: '', coherentPfn: -1, nid: 0 }),
  ),
  savedClass(
    Dmirror,
    'device k mm notifier table',
    () => new Dmirror(null as never, null as never, null as never),
  ),
  savedClass(MovableOps, 'offline zsmalloc'),
  // What a balloon's host answers is the host's.
  savedClass(
    Balloon,
    'k isMovable deflateOnOom splitBlocks entries isolatedPages hostCalls',
    () => new Balloon(null as never, { movable: false }),
    'host',
  ),
  savedClass(
    ZsPool,
    'k partial zspageOf objects nextHandle',
    () => new ZsPool({ movableOps: new MovableOps() } as never),
  ),
  savedClass(
    PrivateAccelerator,
    'k spec pagemap pages engine users remoteByNode clockNs isDying stats',
    () => new PrivateAccelerator(null as never, {} as never),
  ),
  savedClass(
    PeerAccelerator,
    `k spec pagemap pages engine users remoteByNode clockNs isDying stats scheme peers held
     revocations`,
    () => new PeerAccelerator(null as never, {} as never, 'ranges'),
  ),
  savedClass(
    CoherentAccelerator,
    'k spec pagemap pages engine users remoteByNode clockNs isDying stats cpuAccesses',
    () => new CoherentAccelerator(null as never, {} as never),
  ),
  savedClass(
    AcceleratorContext,
    'device k mm notifier table counters hints bounces exclusive isOpen',
    () => new AcceleratorContext(null as never, null as never, null as never),
  ),
  savedClass(Bounces, 'spec ranges returned', () => new Bounces({})),
  savedClass(DevicePages, 'start nrPages freeBlocks freePages freeInBlock used', () => {
    return new DevicePages(0, 0);
  }),
  savedClass(DeviceDax, 'k pagemap file isAlive', () => new DeviceDax(null as never)),
  savedClass(FsDax, 'k pagemap freeBlocks files idleEvents', () => new FsDax(null as never)),
  savedClass(P2pProvider, 'k place pagemap free lent isGone', () => {
    return new P2pProvider(null as never, { switchId: -1, hostBridge: 0 });
  }),
  savedClass(
    CopyEngine,
    'cost toDeviceFreeNs fromDeviceFreeNs bytesToDevice bytesFromDevice pieces',
    () => new CopyEngine(null as never),
  ),
];

export const KERNEL_CLASSES: SavedClasses = new SavedClasses([
  KERNEL,
  TRACE,
  ...PHYSICAL,
  ...SPACES,
  ...TASKS,
  ...DEVICES,
]);

/** Classes of src/mm whose objects do not outlive an operation, so that no state has any. */
export const SHORT_LIVED: readonly string[] = [
  'Accelerator', // abstract: its kinds are saved
  'AcceleratorBench',
  'DeviceBench',
  'SkeletonDriver', // to copy
  'DeviceMigration', // a driver's, between setup and finalize
  'HmmRange',
  'CompactScanners',
  'Census', // a check of the invariants
  'FrameTally', // counts of such a check
  'CompactionTrace', // who listens is no state
  'KernelTrace',
  'NoReclaim', // before a kernel exists
  'PolicyChoice',
  'Protector',
  'QueuePages',
  'ReclaimStat',
  'ReferencedFlags',
  'RmapScratch',
  'Scan',
  'ScanControl',
  'TestDevice',
  'TestProgram',
];
