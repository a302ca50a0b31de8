/**
 * Whole recordings of a small program compiled here, where qemu-user and gcc are installed: what
 * the program does is what the trace has.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../base/assert.ts';
import {
  END,
  EVENT,
  MemorySink,
  MemorySource,
  PAGE_WRITE,
  SLICE,
  type TraceEvent,
  TraceReader,
  vpnOfPageWord,
} from '../trace/index.ts';
import { deflateCodec } from './codec.ts';
import { findExecutable } from './record/nativeBuild.ts';
import {
  findCachePreset,
  NO_LIMITS,
  type RecordOptions,
  type RecordResult,
  record,
  SLICE_INSNS_DEFAULT,
} from './record.ts';

const NATIVE = fileURLToPath(new URL('../../native', import.meta.url));
const missing = ['qemu-x86_64', 'gcc'].filter((name) => findExecutable(name) === null);
if (missing.length > 0) {
  console.warn(`recordings are not tested: ${missing.join(' and ')} not installed`);
}

/** Fresh anonymous memory of argv[2] pages, touched as argv[1] says. */
const PROGRAM = `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static char *fresh(long pages) {
  return mmap(0, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void *writer(void *pages) {
  char *memory = fresh((long)pages);
  for (long i = 0; i < (long)pages; i++) memory[i * 4096] = 1;
  return 0;
}
int main(int argc, char **argv) {
  long pages = argc > 2 ? atol(argv[2]) : 1;
  char *memory = fresh(pages);
  volatile char sum = 0;
  switch (argv[1][0]) {
    case 'r': for (long i = 0; i < pages; i++) sum += memory[i * 4096 + 128]; break;
    case 'w': for (long i = 0; i < pages; i++) memory[i * 4096 + 64] = 1; break;
    case 'u': writer((void *)pages); munmap(memory, pages * 4096); break;
    case 'f': for (long i = 0; i < pages; i++) memory[i * 4096] = 1;
      if (fork() == 0) { for (long i = 0; i < pages; i += 2) memory[i * 4096] = 2; _exit(7); }
      wait(0); break;
    case 't': { pthread_t t[3];
      for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, writer, (void *)pages);
      for (int i = 0; i < 3; i++) pthread_join(t[i], 0); break; }
    case 'c': for (long i = 0; i < pages; i++) memory[i * 4096] = 1; *(volatile int *)8 = 1;
    case 'x': execl("/bin/true", "true", (char *)0);
    case 'l': for (long i = 0;; i++) memory[(i % pages) * 4096] = (char)i;
  }
  return 0;
}`;

describe.skipIf(missing.length > 0)('recordings (needs qemu-user and gcc)', () => {
  let folder = '';
  let program = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hetmem-record-test-'));
    program = join(folder, 'program');
    writeFileSync(`${program}.c`, PROGRAM);
    const made = spawnSync('gcc', ['-O1', '-pthread', '-o', program, `${program}.c`], {
      encoding: 'utf8',
    });
    expect(made.stderr).toBe('');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function recorded(args: string[], more: Partial<RecordOptions> = {}) {
    const sink = new MemorySink();
    const result: RecordResult = await record({
      program,
      args,
      sink,
      codec: deflateCodec(),
      cache: findCachePreset('server-l2'),
      limits: NO_LIMITS,
      sliceInsns: SLICE_INSNS_DEFAULT,
      isAligningHuge: true,
      nativeFolder: NATIVE,
      version: 'test',
      date: '',
      stdio: 'ignore',
      ...more,
    });
    return { result, ...read(sink.bytes()) };
  }

  /** Events, and for each process the pages touched and written in order of first touch. */
  function read(bytes: Uint8Array) {
    const reader = new TraceReader(new MemorySource(bytes.slice()), [deflateCodec()]);
    const events: TraceEvent[] = [];
    const pages: Map<number, 'r' | 'w'>[] = [];
    let nrAccesses = 0;
    for (let item = reader.next(); item !== END; item = reader.next()) {
      if (item === EVENT) events.push(reader.event);
      if (item !== SLICE) continue;
      const { pid, page, count, accesses } = reader.slice;
      nrAccesses += accesses;
      while (pages.length <= pid) pages.push(new Map());
      const base = reader.regionBase(pid);
      for (let i = 0; i < count; i++) {
        const vpn = vpnOfPageWord(base, page[i]!);
        if (!pages[pid]!.has(vpn)) pages[pid]!.set(vpn, page[i]! & PAGE_WRITE ? 'w' : 'r');
      }
    }
    return { reader, events, pages, nrAccesses };
  }

  /** The anonymous mapping of `pages` pages that the program asked for. */
  function freshMap(events: readonly TraceEvent[], pages: number) {
    const maps = events.filter((e) => e.kind === 'mmap' && e.len === pages * 4096 && e.file < 0);
    return maps.at(-1) as Extract<TraceEvent, { kind: 'mmap' }>;
  }

  function touchesIn(
    pages: Map<number, string> | undefined,
    event: { result: number; len: number },
  ) {
    const first = event.result / 4096;
    const inside = [...(pages ?? [])].filter(
      ([vpn]) => vpn >= first && vpn < first + event.len / 4096,
    );
    return inside.map(([, how]) => how).join('');
  }

  it('N pages that are read or written appear as N first reads or writes', async () => {
    for (const how of ['r', 'w'] as const) {
      const { events, pages, result, nrAccesses } = await recorded([how, '700']);
      expect(touchesIn(pages[0], freshMap(events, 700))).toBe(how.repeat(700));
      expect(result.status).toBe(0);
      expect(result.accesses).toBe(nrAccesses);
      expect(result.accessesMade).toBeGreaterThan(nrAccesses);
      expect(events.at(-1)).toMatchObject({ kind: 'exit_group', status: 0 });
    }
  });

  it('every access lies in a mapping of that moment, from the loader’s on', async () => {
    const { reader, events } = await recorded(['u', '300']);
    expect(events.filter((e) => e.kind === 'munmap' && e.len === 300 * 4096)).toHaveLength(1);
    expect(events.find((e) => e.kind === 'brk')).toMatchObject({ addr: 0 });
    const program = events.find((e) => e.kind === 'open');
    expect(program).toMatchObject({ kind: 'open', file: 0 });
    const mapped = new Set<number>();
    let programBreak = 0;
    let outside = 0;
    reader.rewind();
    const set = (addr: number, len: number, isMapped: boolean) => {
      for (let vpn = addr / 4096; vpn < Math.ceil((addr + len) / 4096); vpn++) {
        if (isMapped) mapped.add(vpn);
        else mapped.delete(vpn);
      }
    };
    for (let item = reader.next(); item !== END; item = reader.next()) {
      if (item === SLICE) {
        const base = reader.regionBase(0);
        for (let i = 0; i < reader.slice.count; i++) {
          if (!mapped.has(vpnOfPageWord(base, reader.slice.page[i]!))) outside++;
        }
        continue;
      }
      const event = reader.event;
      if (event.kind === 'mmap' && event.result > 0) set(event.result, event.len, true);
      if (event.kind === 'munmap' && event.result === 0) set(event.addr, event.len, false);
      if (event.kind === 'brk') {
        if (programBreak > 0)
          set(Math.ceil(programBreak / 4096) * 4096, event.result - programBreak, true);
        programBreak = event.result;
      }
    }
    expect(outside).toBe(0);
  });

  it('memory that comes back at the same address is touched again', async () => {
    const { events, pages } = await recorded(['u', '300']);
    const map = freshMap(events, 300);
    expect(touchesIn(pages[0], map)).toBe('w'.repeat(300));
  });

  it('without caches every access is recorded', async () => {
    const { result, nrAccesses, reader } = await recorded(['w', '50'], {
      cache: findCachePreset('none'),
    });
    expect(reader.header.accessKind).toBe('all');
    // Beside the loads and stores: the first fetch of each block, and the kernel's copies.
    expect(nrAccesses).toBeGreaterThanOrEqual(result.accessesMade);
    expect(nrAccesses).toBeLessThan(result.accessesMade * 1.2);
  });

  it('a forked child is followed, and its writes to shared pages are seen', async () => {
    const { events, pages, reader } = await recorded(['f', '400']);
    const map = freshMap(events, 400);
    expect(reader.processes.map((process) => process.parent)).toEqual([-1, 0]);
    expect(touchesIn(pages[0], map)).toBe('w'.repeat(400));
    expect(touchesIn(pages[1], map)).toBe('w'.repeat(200));
    expect(events.filter((e) => e.kind === 'fork')).toMatchObject([{ pid: 0, child: 1 }]);
    expect(events.filter((e) => e.kind === 'exit_group')).toMatchObject([
      { pid: 1, status: 7 },
      { pid: 0, status: 0 },
    ]);
  });

  it('threads have clocks and accesses of their own', async () => {
    const { events, reader, result } = await recorded(['t', '512']);
    expect(reader.threads).toHaveLength(4);
    expect(events.filter((e) => e.kind === 'clone')).toHaveLength(3);
    for (const thread of result.summary.threads.slice(1)) {
      expect(thread.accesses).toBeGreaterThanOrEqual(512);
      expect(thread.insnLast).toBeGreaterThan(512);
    }
    // 2 MiB mappings without an address lie where Linux 6.7 and later put them.
    const maps = events.filter((e) => e.kind === 'mmap' && e.len === 512 * 4096);
    expect(maps.map((e) => (e as { result: number }).result % (2 << 20))).toEqual([0, 0, 0, 0]);
  });

  it('a program that crashes leaves a whole trace of what it did', async () => {
    const { result, events } = await recorded(['c', '9000']);
    expect(result.signal).toBe('SIGSEGV');
    expect(events.at(-1)).toMatchObject({ kind: 'exit_group', status: -1 });
    // All but the last buffer of at most 4096 accesses.
    expect(result.accesses).toBeGreaterThan(9000 - 4096);
  });

  it('an exec is said, not followed', async () => {
    const { result, events } = await recorded(['x']);
    expect(events.at(-1)).toMatchObject({ kind: 'exec', path: '/bin/true' });
    expect(result.warnings.join()).toContain('/bin/true');
  });

  it('a limit ends a program that would not end', async () => {
    const limits = { ...NO_LIMITS, accessesMax: 20_000 };
    const { result, nrAccesses } = await recorded(['l', '60000'], { limits });
    expect(result.stoppedBy).toBe('limit');
    expect(nrAccesses).toBe(20_000);
  });

  it('an interrupt ends the program and keeps the trace', async () => {
    const interrupt = new AbortController();
    const onProgress = (state: { accesses: number }) => {
      if (state.accesses > 0) interrupt.abort();
    };
    const more = { interrupt: interrupt.signal, onProgress };
    const { result, nrAccesses } = await recorded(['l', '60000'], more);
    expect(result.stoppedBy).toBe('interrupt');
    expect(nrAccesses).toBe(result.accesses);
  });

  it('a full disk ends the program and is told', async () => {
    const full = new UserError('trace', 'no space left on the disk');
    let room = 3;
    const sink = {
      write: () => {
        if (room-- <= 0) throw full;
      },
    };
    await expect(recorded(['l', '60000'], { sink })).rejects.toBe(full);
  });

  it('a program that QEMU cannot start is an error', async () => {
    const broken = join(folder, 'broken');
    const elf = Buffer.alloc(64);
    elf.write('\x7fELF\x02\x01\x01', 'latin1');
    elf.writeUInt16LE(62, 18);
    writeFileSync(broken, elf, { mode: 0o755 });
    await expect(recorded([], { program: broken })).rejects.toThrow(/before the program began/);
  });
});
