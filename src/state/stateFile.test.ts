/** Files of saved states: whole, cut, damaged, foreign, of another version. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../base/assert.ts';
import {
  accessPage,
  findBrokenInvariants,
  isolateFolio,
  Kernel,
  MigrationOp,
  mmapRegion,
  pageAt,
  plainMachine,
} from '../mm/index.ts';
import { noneCodec, PURE_CODECS } from '../trace/index.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL, type ZoneType } from '../uapi/zone.ts';
import { KERNEL_CLASSES } from './classes.ts';
import { firstDifference } from './compareStates.ts';
import { encodeKernel } from './kernelState.ts';
import { readState, STATE_FORMAT, writeState } from './stateFile.ts';

const HETMEM = '0.0.0-test';
const OPTIONS = { codecs: PURE_CODECS, hetmem: HETMEM };
const SAVED = { hetmem: HETMEM, about: 'a test' };

const ZONES = [{ zone: ZONE_NORMAL as ZoneType, pages: 4096 }];

/** Two nodes, a program with 600 pages, one migration between its steps. */
function kernelInUse(): Kernel {
  const k = new Kernel(
    plainMachine([
      { cpus: [0], zones: ZONES },
      { cpus: [], zones: ZONES },
    ]),
    {
      seed: 5,
      trackContent: true,
    },
  );
  const task = k.spawn(null, 0);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const prot = PROT_READ | PROT_WRITE;
  const at = { addr: 0, pages: 600, prot, flags, file: null, pgoff: 0 };
  const start = mmapRegion(k, task.mm!, at);
  for (let vpn = start; vpn < start + 600; vpn++) accessPage(k, task, vpn, true);
  k.lru.drainAll();
  const list: number[] = [];
  isolateFolio(k, pageAt(k, task.mm!, start), list);
  const to = { nid: 1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE };
  new MigrationOp(k, list, to, MIGRATE_SYNC, MR_SYSCALL).step();
  return k;
}

const k = kernelInUse();
const FILE = writeState({ k, attached: null }, SAVED, noneCodec).slice();

function errorOf(bytes: Uint8Array, options = OPTIONS): UserError {
  try {
    readState(bytes, 'x.hms', options);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('was read');
}

describe('the file of a saved state', () => {
  it('gives back a kernel with every field equal, whose invariants hold', () => {
    const { state, head } = readState(FILE, 'x.hms', OPTIONS);
    expect(firstDifference(k, state.k, KERNEL_CLASSES)).toBeNull();
    expect(findBrokenInvariants(state.k)).toEqual([]);
    expect(head).toMatchObject({ hetmem: HETMEM, about: 'a test', machine: 'plain' });
    expect(state.k.inFlight.size).toBe(1);
  });

  it('finishes a migration that was under way when it was saved (MC-36)', () => {
    const restored = readState(FILE, 'x.hms', OPTIONS).state.k;
    for (const op of new Set(restored.inFlight.values())) op.finish();
    const original = readState(FILE, 'x.hms', OPTIONS).state.k;
    for (const op of new Set(original.inFlight.values())) op.finish();
    expect(restored.inFlight.size).toBe(0);
    expect(restored.vmstat.snapshot().get('pgmigrate_success')).toBe(1);
    expect(firstDifference(original, restored, KERNEL_CLASSES)).toBeNull();
  });

  it('knows who ran last: the caller of a migration that begins next', () => {
    const other = kernelInUse();
    other.trace.runKcompactd(0);
    const bytes = writeState({ k: other, attached: null }, SAVED, noneCodec);
    const { trace } = readState(bytes, 'x.hms', OPTIONS).state.k;
    expect([trace.pid, trace.comms]).toEqual([other.trace.pid, other.trace.comms]);
    expect(trace.comms.get(trace.pid)).toBe('kcompactd0');
  });

  it('has the same bytes for the same state, also after a round', () => {
    expect(writeState({ k, attached: null }, SAVED, noneCodec)).toEqual(FILE);
    const { state } = readState(FILE, 'x.hms', OPTIONS);
    expect(writeState(state, SAVED, noneCodec)).toEqual(FILE);
  });

  it('is refused with place and remedy wherever it is cut', () => {
    for (let length = 0; length < FILE.length; length += 1 + Math.floor(length / 50)) {
      const error = errorOf(FILE.slice(0, length));
      expect(error.message).toMatch(/x\.hms: byte \d+ of \d+: the saved state is (cut|damaged)/);
      expect(error.message).toContain('--save-state');
    }
  });

  it('is refused when a byte is flipped anywhere', () => {
    for (let at = 0; at < FILE.length; at += 1 + Math.floor(at / 30)) {
      const bytes = FILE.slice();
      bytes[at] ^= 0x40;
      expect(errorOf(bytes).message).toContain('x.hms');
    }
  });

  it('is refused when it is another file, another format or of another hetmem', () => {
    const text = new Uint8Array(100).fill(65);
    expect(errorOf(text).message).toContain('is no saved state of hetmem');
    const trace = Uint8Array.from([0x89, 0x48, 0x4d, 0x54, 13, 10, 26, 10, 1, 0, 0, 0]);
    expect(errorOf(trace).message).toContain('is a trace, no saved state');
    const later = FILE.slice();
    later[8] = STATE_FORMAT + 1;
    expect(errorOf(later).message).toContain(`is of format ${STATE_FORMAT + 1}`);
    const other = errorOf(FILE, { ...OPTIONS, hetmem: '9.9.9' }).message;
    expect(other).toContain(`was written by version ${HETMEM} of hetmem (this is 9.9.9)`);
  });
});

describe('the bytes of a kernel', () => {
  it('refuse a function or an unknown class, rather than lose it', () => {
    class Unlisted {}
    expect(() => encodeKernel({ k, attached: new Unlisted() })).toThrow(/Unlisted is not listed/);
    expect(() => encodeKernel({ k, attached: { f: () => 0 } })).toThrow(/function cannot be saved/);
  });

  it('refuse a field that classes.ts does not name', () => {
    const task = k.tasks.get(100)!;
    Reflect.set(task, 'nice', 5);
    expect(() => encodeKernel({ k, attached: null })).toThrow(/Task\.nice is missing in/);
    Reflect.deleteProperty(task, 'nice');
  });
});
