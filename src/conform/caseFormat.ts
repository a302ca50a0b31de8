/**
 * The case format as data: every verb and look with its inputs and outputs, and the form of each
 * (docs/conformance.md). A step that names anything else is wrong input, not a case that
 * the model cannot run.
 */
import { MPOL_MODE_NAMES } from '../uapi/mempolicy.ts';
import type { Json } from './caseFile.ts';
import {
  ADVICE,
  CAPS,
  FADVICE,
  GET_FLAGS,
  MAP,
  MLOCK,
  MODE_FLAGS,
  MPOL_MF,
  MREMAP,
  OPEN,
  PROT,
  SIGNALS,
  type Words,
} from './caseWords.ts';
import { isRuns } from './runs.ts';

/** The form of a value: what is wanted, and the words to choose from if there are such. */
export interface Form {
  readonly wanted: string;
  readonly fits: (value: Json) => boolean;
  /** Words that are known here; `word` finds the one that is not. */
  readonly known?: readonly string[];
}

export interface StepForm {
  /** Field -> required. */
  readonly inputs: ReadonlyMap<string, boolean>;
  readonly outputs: ReadonlySet<string>;
}

const isInt = (value: Json): boolean => typeof value === 'number' && Number.isInteger(value);
const isText = (value: Json): boolean => typeof value === 'string';
const isHex = (value: Json): boolean => isText(value) && /^0x[0-9a-fA-F]+$/.test(String(value));

const TEXT: Form = { wanted: 'a text', fits: isText };
const INT: Form = { wanted: 'a whole number', fits: isInt };
const HEX: Form = { wanted: 'an address in hexadecimal', fits: isHex };
const BOOL: Form = { wanted: 'true or false', fits: (value) => typeof value === 'boolean' };
const COUNT: Form = {
  wanted: 'a number of pages, "touched" or "touched/2"',
  fits: (value) => isInt(value) || value === 'touched' || value === 'touched/2',
};
const NODES: Form = {
  wanted: 'a list of node numbers or "0x8"',
  fits: (value) => value === '0x8' || (Array.isArray(value) && value.every(isInt)),
};
const NAMES: Form = {
  wanted: 'a list of names',
  fits: (value) => Array.isArray(value) && value.every(isText),
};
const BYTES: Form = {
  wanted: 'a number of bytes',
  fits: (value) => isInt(value) || isHex(value),
};

function word(words: readonly string[]): Form {
  const wanted = `one of ${words.join(', ')}`;
  return { wanted, fits: (value) => words.includes(String(value)), known: words };
}

/** A list of names; an unknown bit is a hexadecimal text. */
function flags(words: Words): Form {
  const known = Object.keys(words);
  const isFlag = (value: Json): boolean => known.includes(String(value)) || isHex(value);
  return {
    wanted: `a list of ${known.join(', ')} or hexadecimal texts`,
    fits: (value) => Array.isArray(value) && value.every(isFlag),
    known,
  };
}

function fieldsOf(names: readonly string[]): Form {
  return {
    wanted: `{${names.join(', ')}}, whole numbers`,
    fits: (value) =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.keys(value).length === names.length &&
      names.every((name) => isInt(value[name] ?? null)),
  };
}

/** Runs [region, first page, number, byte offset?] or one address. */
const PAGES: Form = {
  wanted: '"NULL" or runs [region, first page, number of pages, byte offset?], or [address]',
  fits: (value) => value === 'NULL' || (Array.isArray(value) && value.every(isPagesRun)),
};

function isPagesRun(run: Json): boolean {
  if (!Array.isArray(run) || !isText(run[0] ?? null)) return false;
  return run.length === 1 || ((run.length === 3 || run.length === 4) && run.slice(1).every(isInt));
}

const MOVE_NODES: Form = {
  wanted: 'null, "0x8" or runs [node, number of pages]',
  fits: (value) => value === null || value === '0x8' || isRuns(value),
};

const ACCESS = word(['read', 'write']);

/** By name of the field, or of verb and field where a verb has its own. */
const FORMS: Readonly<Record<string, Form>> = {
  region: TEXT,
  from: INT,
  n: COUNT,
  page: INT,
  pages: INT,
  step: INT,
  at: HEX,
  to: HEX,
  file: TEXT,
  offset: INT,
  prot: flags(PROT),
  'mmap.flags': flags(MAP),
  'mremap.flags': flags(MREMAP),
  'mlock.flags': flags(MLOCK),
  'move_pages.flags': flags(MPOL_MF),
  'mbind.flags': flags(MPOL_MF),
  'race.flags': flags(MPOL_MF),
  'get_mempolicy.flags': flags(GET_FLAGS),
  'file.open.flags': flags(OPEN),
  'set_mempolicy_home_node.flags': INT,
  'madvise.advice': word(Object.keys(ADVICE)),
  'file.fadvise.advice': word(Object.keys(FADVICE)),
  except: word(['pinned']),
  mode: ACCESS,
  'mbind.mode': word([...MPOL_MODE_NAMES, '99']),
  'set_mempolicy.mode': word([...MPOL_MODE_NAMES, '99']),
  'uffd.register.mode': word(['MISSING', 'WP', 'MINOR']),
  mode_flags: flags(MODE_FLAGS),
  special: word(['vdso', 'stack', 'text', 'heap']),
  fill: word(['same']),
  until: fieldsOf(['node', 'free_kb_below', 'every']),
  regions: NAMES,
  seconds: INT,
  ms: INT,
  as: TEXT,
  for: TEXT,
  uid: INT,
  keep_caps: flags(CAPS),
  cap: word(Object.keys(CAPS)),
  signal: word(SIGNALS),
  handler: word(['count']),
  dumpable: INT,
  resource: word(['MEMLOCK', 'AS', 'DATA', 'STACK', 'NOFILE']),
  bytes: BYTES,
  pid: TEXT,
  count: { wanted: 'a number', fits: (value) => isInt(value) || isText(value) },
  'move_pages.pages': PAGES,
  'move_pages.nodes': MOVE_NODES,
  nodes: NODES,
  old: NODES,
  new: NODES,
  status: word(['NULL', '0x8']),
  maxnode: INT,
  node: INT,
  kind: word(['longterm']),
  via: word(['io_uring', 'gup_test']),
  handle: TEXT,
  access: ACCESS,
  fast: BOOL,
  each: word(['own handle', 'own pipe']),
  one_per: fieldsOf(['node', 'frames']),
  pipe: TEXT,
  repeat: INT,
  write_bytes: INT,
  into: TEXT,
  out_of: TEXT,
  chunk: INT,
  content: word(['zero']),
  type: TEXT,
  options: TEXT,
  'mount.at': TEXT,
  cgroup: TEXT,
  value: TEXT,
  block: { wanted: 'a block number or name', fits: (value) => isInt(value) || isText(value) },
  write: word(['offline', 'online', 'online_kernel', 'online_movable']),
  signal_after_s: INT,
  max: INT,
  full_scans: INT,
  moves: INT,
  writer: TEXT,
  device: TEXT,
  which: word(['most pages']),
  contains: TEXT,
  field: TEXT,
};

const NO_OUTPUT = '';
const RANGE = 'region from n';
const DEVICE = 'device region from n';
const DEVICE_OUT = 'ret errno cpages faults device_data perm';

/** Inputs (optional ones with ?) and outputs. */
const VERB_LINES: Readonly<Record<string, readonly [string, string]>> = {
  mmap: ['region pages prot flags file? offset? at?', 'ret errno'],
  munmap: [RANGE, 'ret errno'],
  mprotect: [`${RANGE} prot`, 'ret errno'],
  mremap: ['region pages flags to?', 'ret errno'],
  madvise: [`${RANGE} advice step? except?`, 'ret errno failed'],
  mlock: [`${RANGE} flags?`, 'ret errno'],
  munlock: [RANGE, 'ret errno'],
  touch: ['mode region? from? n? step? special? fill? until?', 'touched'],
  'touch.loop': ['mode regions n step? seconds', NO_OUTPUT],
  fork: ['as', NO_OUTPUT],
  exit: ['', NO_OUTPUT],
  wait: ['for', NO_OUTPUT],
  sleep: ['ms', NO_OUTPUT],
  setuid: ['uid keep_caps?', 'ret errno'],
  dropcap: ['cap', 'ret errno'],
  sigaction: ['signal handler', 'ret errno'],
  prctl: ['dumpable', 'ret errno'],
  setrlimit: ['resource bytes', 'ret errno'],
  move_pages: ['pid count pages nodes flags? status?', 'ret errno status'],
  migrate_pages: ['pid old new maxnode?', 'ret errno'],
  mbind: [`region from n? bytes? offset? mode mode_flags? nodes maxnode? flags?`, 'ret errno'],
  set_mempolicy: ['mode mode_flags? nodes maxnode?', 'ret errno'],
  set_mempolicy_home_node: [`${RANGE} node flags?`, 'ret errno'],
  get_mempolicy: ['flags region? page? maxnode?', 'ret errno mode mode_flags nodes node'],
  pin: [
    'kind? via? handle? region? from? n? access? fast? step? each? one_per?',
    'ret errno pinned',
  ],
  unpin: ['handle', 'ret errno'],
  'pin.close': ['handle', NO_OUTPUT],
  vmsplice: [`pipe? ${RANGE} repeat? each?`, 'ret errno ok'],
  'pipe.open': ['pipe? repeat? write_bytes?', 'opened'],
  'pipe.read': ['pipe into page bytes', 'ret errno'],
  'pipe.write': ['pipe out_of page bytes', 'ret errno'],
  'pipe.close': ['pipe', NO_OUTPUT],
  process_vm_readv: [`pid ${RANGE} bytes?`, 'ret errno data'],
  'file.create': ['file pages chunk? content?', NO_OUTPUT],
  'file.open': ['file flags?', 'ret errno'],
  'file.write': ['file out_of page bytes', 'ret errno'],
  'file.truncate': ['file bytes', 'ret errno'],
  'file.fsync': ['file', 'ret errno'],
  'file.fadvise': ['file advice', 'ret errno'],
  'file.close': ['file', NO_OUTPUT],
  'file.unlink': ['file', NO_OUTPUT],
  memfd_secret: ['file', NO_OUTPUT],
  mount: ['type at options?', NO_OUTPUT],
  'cgroup.create': ['cgroup', 'ret errno'],
  'cgroup.write': ['cgroup file value', 'ret errno'],
  'cgroup.enter': ['cgroup', 'ret errno'],
  'sysfs.write': ['file value', 'ret errno'],
  'block.state': ['block write signal_after_s?', 'ret errno ended signalled state'],
  'thp.take': ['node max', 'taken'],
  'ksm.merge': ['full_scans', 'pages_shared pages_sharing'],
  'idle.set': [RANGE, NO_OUTPUT],
  'lru.drain': ['', NO_OUTPUT],
  'tlb.flush': ['', NO_OUTPUT],
  'uffd.register': ['region mode', 'ret errno'],
  'uffd.protect': ['region', 'ret errno'],
  race: [
    'region page moves nodes flags? writer',
    'moves_ok moves_busy other writer_mismatches last_value_matches',
  ],
  'device.open': ['device', 'ret errno'],
  'device.migrate': [DEVICE, DEVICE_OUT],
  'device.back': [DEVICE, DEVICE_OUT],
  'device.read': [DEVICE, DEVICE_OUT],
  'device.write': [DEVICE, DEVICE_OUT],
  'device.snapshot': [DEVICE, DEVICE_OUT],
  'device.exclusive': [DEVICE, DEVICE_OUT],
  'device.check': [DEVICE, DEVICE_OUT],
  'device.release': ['device', 'ret errno'],
  'device.fail_alloc': ['device', NO_OUTPUT],
};

const LOOK_LINES: Readonly<Record<string, readonly [string, string]>> = {
  where: ['region? from? n? special?', 'pages'],
  count: ['region', 'pages'],
  data: ['region', 'data'],
  read: ['region page offset?', 'byte'],
  kpage: ['region page', 'mapcount flags pagemap'],
  pagemap: ['region page', 'uffd_wp'],
  smaps: ['region field?', 'field kb'],
  numa_maps: ['region', 'line'],
  idle: [RANGE, 'idle'],
  'frame.keep': [`as ${RANGE}`, NO_OUTPUT],
  'frame.same': [`as ${RANGE}`, 'same'],
  'frame.flags': [`as region? from? n?`, 'flags'],
  node: ['node', 'free_kb anon_kb'],
  buddyinfo: ['node', 'line'],
  block_of: ['region page? which? as', 'block pages'],
  find: ['region contains n as', 'found first'],
  sysfs: ['file', 'value ret errno'],
  cgroup: ['cgroup file', 'value ret errno'],
  signals: ['signal', 'n'],
  'uffd.event': ['', 'ret errno'],
  'damon.regions': ['', 'regions bytes_total bytes_with_accesses target_bytes'],
};

function formsOf(
  lines: Readonly<Record<string, readonly [string, string]>>,
): ReadonlyMap<string, StepForm> {
  const forms = Object.entries(lines).map(([name, [inputs, outputs]]) => {
    const fields = inputs.split(' ').filter((field) => field !== '');
    const required = fields.map((field) => [field.replace('?', ''), !field.endsWith('?')] as const);
    return [name, { inputs: new Map(required), outputs: new Set(outputs.split(' ')) }] as const;
  });
  return new Map(forms);
}

export const VERB_FORMS: ReadonlyMap<string, StepForm> = formsOf(VERB_LINES);
export const LOOK_FORMS: ReadonlyMap<string, StepForm> = formsOf(LOOK_LINES);

/** The form of an input of a verb or look. Preconditions: the verb has it. */
export function formOf(name: string, field: string): Form {
  return FORMS[`${name}.${field}`] ?? FORMS[field];
}
