/**
 * Rules (docs/model/rules) that say what a step does: for a difference in a case that the index of
 * observed cases does not know. By verb or look, and by what of it decides: advice, file.
 */
import type { Step } from './caseFile.ts';

const BY_VERB: Readonly<Record<string, string>> = {
  mmap: 'OV-29',
  munmap: 'OV-29; PM-10',
  mprotect: 'OV-29',
  mremap: 'OV-29',
  mlock: 'OV-26',
  munlock: 'OV-26',
  touch: 'OV-31a',
  'touch.loop': 'OV-31a; HS-90..94; TI-20..28',
  fork: 'OV-31f,18',
  setuid: 'MP-4,5',
  dropcap: 'MP-2,5',
  prctl: 'MP-5',
  setrlimit: 'PM-24',
  sigaction: 'MC-82a',
  move_pages: 'MP-1..55; MC-1..62',
  migrate_pages: 'MP-60..68; MP-85..89',
  mbind: 'MP-70..92',
  set_mempolicy: 'MP-70,74,75,94',
  set_mempolicy_home_node: 'MP-93,93a',
  get_mempolicy: 'MP-95a,95b',
  pin: 'PM-1..25',
  unpin: 'PM-10',
  'pin.close': 'PM-10',
  vmsplice: 'PM-22; OV-42',
  'pipe.read': 'OV-42',
  'pipe.write': 'OV-42',
  'pipe.close': 'PM-22',
  process_vm_readv: 'PM-6a',
  'file.create': 'OV-21,22',
  'file.write': 'OV-21,22',
  'file.fadvise': 'OV-21,25',
  memfd_secret: 'PM-3; MP-33',
  'cgroup.create': 'MP-100',
  'cgroup.write': 'MP-100..106b',
  'cgroup.enter': 'MP-102',
  'thp.take': 'PM-90,91',
  'ksm.merge': 'OV-31h',
  'idle.set': 'HS-1..9',
  'uffd.register': 'MC-31,93',
  'uffd.protect': 'MC-31,93',
  'uffd.event': 'MC-93',
  race: 'MC-90; OV-33',
  'block.state': 'PM-60..64,70..75,106',
  block_of: 'PM-115',
  'device.migrate': 'DM-20..36',
  'device.back': 'DM-20..36',
  'device.read': 'DM-10..16',
  'device.write': 'DM-10..16',
  'device.snapshot': 'DM-10..16',
  'device.exclusive': 'DM-70..72',
  'device.check': 'DM-70..72',
  'device.release': 'DM-40..44',
  'device.fail_alloc': 'DM-41',
  kpage: 'HS-11..15',
  pagemap: 'HS-20..23',
  idle: 'HS-1..9',
  smaps: 'OV-28',
  numa_maps: 'OV-28,29',
  'frame.flags': 'HS-11..15',
  buddyinfo: 'PM-118',
  node: 'OV-44..47',
  signals: 'MC-82a',
  'damon.regions': 'HS-71,76..78,112',
};

const BY_ADVICE: Readonly<Record<string, string>> = {
  HWPOISON: 'MC-82a; MP-22',
  SOFT_OFFLINE: 'MC-82b,27',
  COLLAPSE: 'OV-31c,31g',
  COLD: 'OV-31g',
  PAGEOUT: 'OV-31g',
  FREE: 'OV-24b',
  MERGEABLE: 'OV-31h',
  UNMERGEABLE: 'OV-31h',
};

/** Files below /sys, /proc and of control groups, most special first. */
const BY_FILE: ReadonlyArray<readonly [RegExp, string]> = [
  [/\/mm\/damon\//, 'HS-70..87,110..113'],
  [/offline_page$/, 'MC-82a,82b'],
  [/compact/, 'PM-85..88a'],
  [/hugepages/, 'MP-110..113'],
  [/\/ksm\//, 'OV-31h'],
  [/reclaim$/, 'TI-10..18a,110,111'],
  [/demotion_enabled|memory_tier/, 'TI-1..4,10'],
  [/numa_balancing/, 'TI-20..28'],
  [/weighted_interleave/, 'TI-80..82'],
  [/cpuset/, 'MP-100..106b'],
  [/transparent_hugepage/, 'OV-31b'],
  [/page_idle/, 'HS-1..9'],
  [/vmstat|zoneinfo|meminfo/, 'OV-44..47'],
];

/** "MP-60..68", or '' for steps without a rule of their own. */
export function rulesOfStep(step: Step): string {
  const { advice, file } = step.fields;
  if (step.name === 'madvise') return BY_ADVICE[String(advice)] ?? 'OV-31g';
  if (typeof file === 'string') {
    const row = BY_FILE.find(([pattern]) => pattern.test(file));
    if (row !== undefined) return row[1];
  }
  return BY_VERB[step.name] ?? '';
}
