/** Events of the modelled kernel: which fire, as ftrace lines, and as Perfetto packets. */
import { describe, expect, it } from 'vitest';
import { compactNode, type KernelReclaim, KernelTrace, zapRange } from '../mm/index.ts';
import { bootNodes, isolate, migrate, migration, TestProgram } from '../mm/testProgram.ts';
import * as gfp from '../uapi/gfp.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { EventFormat, roleOf } from './eventFormat.ts';
import { EventRecorder } from './eventRecorder.ts';
import { FtraceText } from './ftraceText.ts';
import { PerfettoTrace } from './perfettoTrace.ts';
import { symbolText } from './symbols.ts';

function boot(options: { demotion?: boolean; swapPages?: number } = {}): TestProgram {
  const k = bootNodes(
    [
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 2048 }] },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 2048 }] },
    ],
    { swapPages: options.swapPages ?? 0 },
  );
  k.sysctl.demotion_enabled = options.demotion ?? false;
  k.sysctl.thp_enabled = 'never';
  return new TestProgram(k);
}

/** The lines that `work` makes, without the head. */
function linesOf(p: TestProgram, work: () => void): string[] {
  let text = '';
  const sink = new FtraceText((piece) => {
    text += piece;
  });
  const recorder = new EventRecorder(p.k, sink, 'prog');
  p.k.trace.run(p.task.pid, 0);
  work();
  recorder.end();
  expect(text.startsWith('# tracer: nop\n#\n')).toBe(true);
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/** Behind task, CPU and time. */
const bodies = (lines: readonly string[]) => lines.map((line) => line.slice(51));

describe('migration', () => {
  it('mm_migrate_pages counts as pgmigrate_*, in the layout of ftrace', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.nowNs = 12_345_678_901;
    const pfn = (vpn: number) => (p.k.frames.pfnOf(p.frame(vpn)) * 4096).toString(16);
    const before = [pfn(a), pfn(a + 1)];
    const lines = linesOf(p, () => migrate(p, a, 2, 1));
    const after = [pfn(a), pfn(a + 1)];
    const addr = (vpn: number) => (vpn * 4096).toString(16);
    expect(lines[0]).toBe(
      '            prog-100     [000] .....    12.345678: ' +
        'mm_migrate_pages_start: mode=MIGRATE_SYNC reason=syscall_or_cpuset',
    );
    expect(bodies(lines)).toEqual([
      'mm_migrate_pages_start: mode=MIGRATE_SYNC reason=syscall_or_cpuset',
      `set_migration_pte: addr=${addr(a)}, pte=${before[0]} order=0`,
      `set_migration_pte: addr=${addr(a + 1)}, pte=${before[1]} order=0`,
      `remove_migration_pte: addr=${addr(a)}, pte=${after[0]} order=0`,
      `remove_migration_pte: addr=${addr(a + 1)}, pte=${after[1]} order=0`,
      'mm_migrate_pages: nr_succeeded=2 nr_failed=0 nr_thp_succeeded=0 nr_thp_failed=0 ' +
        'nr_thp_split=0 nr_split=0 mode=MIGRATE_SYNC reason=syscall_or_cpuset',
    ]);
  });

  it('a call that another task carries on stays its caller’s', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const lines = linesOf(p, () => {
      p.k.trace.runMigrationDaemon(0);
      const op = migration(p.k, isolate(p, a, 1), 1);
      op.step();
      p.k.trace.run(p.task.pid, 0);
      op.finish();
      expect(p.k.trace.pid).toBe(p.task.pid);
    });
    const tasks = lines.map((line) => line.slice(0, 24).trim());
    expect(new Set(tasks)).toEqual(new Set(['migrated/0-80']));
  });

  it('nobody listens by default and after the end', () => {
    const p = boot();
    const { points } = p.k.trace;
    const isHeard = () => points.names().some((name) => points.find(name)!.isEnabled);
    expect(isHeard()).toBe(false);
    linesOf(p, () => expect(isHeard()).toBe(true));
    expect(isHeard()).toBe(false);
  });
});

describe('reclaim', () => {
  it('TI-17 kswapd wakes, demotes and sleeps; what it scanned adds up to vmstat', () => {
    const p = boot({ demotion: true });
    const { k } = p;
    const a = p.map(1990);
    for (let i = 0; i < 1990; i++) p.access(a + i, true);
    expect(k.kswapdWoken & 1).toBe(1);
    const scanned = () => k.vmstat.snapshot().get('pgscan_kswapd')!;
    const before = scanned();
    const lines = linesOf(p, () => {
      while ((k.pm.hooks as KernelReclaim).kswapdStep(0));
    });
    const events = bodies(lines).map((body) => body.split(':', 1)[0]);
    expect(events[0]).toBe('mm_vmscan_kswapd_wake');
    expect(events.at(-1)).toBe('mm_vmscan_kswapd_sleep');
    expect(lines[0]).toMatch(/^ +kswapd0-16 +\[000\] \.{5} +0\.0{6}: .*: nid=0 order=0$/);
    let sum = 0;
    for (const body of bodies(lines)) {
      if (!body.startsWith('mm_vmscan_lru_shrink_inactive')) continue;
      sum += Number(/nr_scanned=(\d+)/.exec(body)![1]);
    }
    expect(sum).toBe(scanned() - before);
    expect(bodies(lines).some((body) => body.endsWith('reason=demotion'))).toBe(true);
  });

  it('direct reclaim begins and ends, with the flags of the allocation', () => {
    const p = boot({ swapPages: 4096 });
    const lines = linesOf(p, () => {
      const a = p.map(5000);
      for (let i = 0; i < 5000; i++) p.access(a + i, true);
    });
    // Page tables can only lie on node 0, pages of the program on both.
    const begins = bodies(lines).filter((body) => /direct_reclaim_begin/.test(body));
    const flags = new Set(begins.map((body) => body.replace('mm_vmscan_direct_reclaim_', '')));
    expect(flags).toEqual(
      new Set([
        'begin: order=0 gfp_flags=GFP_KERNEL',
        'begin: order=0 gfp_flags=GFP_HIGHUSER_MOVABLE',
      ]),
    );
    const end = bodies(lines).find((body) => body.startsWith('mm_vmscan_direct_reclaim_end'));
    expect(end).toMatch(/nr_reclaimed=[1-9]\d*$/);
  });
});

describe('compaction', () => {
  it('PM-85: from begin to end; what migratepages says adds up to what moved', () => {
    const p = boot();
    const { k } = p;
    const a = p.mapWritten(1000);
    const vma = p.task.mm!.findVma(a)!;
    for (let i = 0; i < 1000; i += 2) zapRange(k, vma, a + i, a + i + 1);
    k.lru.drainAll();
    const moved = k.vmstat.snapshot().get('pgmigrate_success')!;
    const lines = bodies(linesOf(p, () => compactNode(k, 0)));
    const migrated = k.vmstat.snapshot().get('pgmigrate_success')! - moved;
    expect(migrated).toBeGreaterThan(0);
    const zone = k.pm.zones[0];
    const span = (pfn: number) => `0x${pfn.toString(16)}`;
    expect(lines[0]).toBe(
      `mm_compaction_begin: zone_start=${span(zone.startPfn)} migrate_pfn=${span(zone.startPfn)} ` +
        `free_pfn=${span(zone.endPfn - 512)} zone_end=${span(zone.endPfn)}, mode=sync`,
    );
    const sum = (event: string, field: string) =>
      lines
        .filter((line) => line.startsWith(`${event}:`))
        .reduce((all, line) => all + Number(new RegExp(`${field}=(\\d+)`).exec(line)![1]), 0);
    expect(sum('mm_compaction_migratepages', 'nr_migrated')).toBe(migrated);
    expect(sum('mm_compaction_isolate_migratepages', 'nr_taken')).toBe(
      migrated + sum('mm_compaction_migratepages', 'nr_failed'),
    );
    const scanned = k.vmstat.snapshot().get('compact_free_scanned')!;
    expect(sum('mm_compaction_isolate_freepages', 'nr_scanned')).toBe(scanned);
    const last = lines.filter((line) => line.startsWith('mm_compaction_')).at(-1);
    expect(last).toMatch(/^mm_compaction_end: zone_start=.*, mode=sync status=complete$/);
    expect(lines).toContain('mm_compaction_finished: node=0 zone=Normal   order=-1 ret=complete');
  });

  it('PM-86: a deferral, as defer_compaction counts it', () => {
    const { points } = new KernelTrace({ nowNs: 0 });
    const point = points.find('compaction:mm_compaction_deferred')!;
    const format = new EventFormat(point.name, point.fields);
    expect(format.text([1, ZONE_MOVABLE, 9, 3, 2, 9])).toBe(
      'node=1 zone=Movable  order=9 order_failed=9 consider=3 limit=4',
    );
  });
});

describe('words', () => {
  it('flags as __print_flags joins them, the rest in hexadecimal', () => {
    expect(symbolText('gfp', gfp.GFP_HIGHUSER_MOVABLE | gfp.__GFP_THISNODE)).toBe(
      'GFP_HIGHUSER_MOVABLE|__GFP_THISNODE',
    );
    expect(symbolText('gfp', 0)).toBe('none');
    expect(symbolText('gfp', gfp.GFP_KERNEL | (1 << 30))).toBe('GFP_KERNEL|0x40000000');
    expect(symbolText('reclaim', 0)).toBe('RECLAIM_WB_NONE');
    expect(symbolText('lru', 3)).toBe('active_file');
    expect(symbolText('reason', 77)).toBe('0x4d');
  });

  it('every tracepoint of the kernel has a format that shows its fields', () => {
    const { points } = new KernelTrace({ nowNs: 0 });
    expect(points.names().length).toBeGreaterThan(15);
    for (const name of points.names()) {
      const { fields } = points.find(name)!;
      const format = new EventFormat(name, fields);
      expect(format.text(fields.map(() => 1)), name).not.toContain('undefined');
    }
    expect(roleOf('migrate:mm_migrate_pages_start')).toBe('begins');
    expect(roleOf('vmscan:mm_vmscan_kswapd_sleep')).toBe('ends');
    expect(roleOf('vmscan:mm_vmscan_lru_isolate')).toBe('instant');
  });
});

/** A message as field number -> values, read from the wire with no knowledge of its type. */
type Message = Map<number, (number | Uint8Array)[]>;

function parse(bytes: Uint8Array): Message {
  const message: Message = new Map();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    let value: number | Uint8Array;
    if (wire === 0) value = varint();
    else if (wire === 1) {
      value = new DataView(bytes.buffer, bytes.byteOffset + at, 8).getFloat64(0, true);
      at += 8;
    } else {
      const length = varint();
      value = bytes.subarray(at, at + length);
      at += length;
    }
    const field = Math.floor(tag / 8);
    message.set(field, [...(message.get(field) ?? []), value]);
  }
  expect(at).toBe(bytes.length);
  return message;
}

const inner = (message: Message, field: number): Message[] =>
  (message.get(field) ?? []).map((value) => parse(value as Uint8Array));
const number = (message: Message, field: number) => message.get(field)?.[0] as number;
const text = (message: Message, field: number) =>
  new TextDecoder().decode(message.get(field)?.[0] as Uint8Array);

/** Packets by the published field numbers of protos/perfetto/trace/trace_packet.proto. */
const PACKET = 1;
const TIMESTAMP = 8;
const SEQUENCE_ID = 10;
const TRACK_EVENT = 11;
const INTERNED_DATA = 12;
const SEQUENCE_FLAGS = 13;
const TRACK_DESCRIPTOR = 60;

function packetsOf(p: TestProgram, work: (recorder: EventRecorder) => void): Message[] {
  const pieces: Uint8Array[] = [];
  const recorder = new EventRecorder(
    p.k,
    new PerfettoTrace((bytes) => pieces.push(Uint8Array.from(bytes))),
    'prog',
  );
  p.k.trace.run(p.task.pid, 0);
  work(recorder);
  recorder.end();
  return pieces.flatMap((piece) => inner(parse(piece), PACKET));
}

describe('Perfetto', () => {
  it('tasks are thread tracks, migrations slices with the fields as annotations', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.nowNs = 5_000_000_000_123;
    const packets = packetsOf(p, () => migrate(p, a, 1, 1));
    const [process, thread] = packets.flatMap((packet) => inner(packet, TRACK_DESCRIPTOR));
    expect(text(inner(process, 3)[0], 6)).toBe('prog');
    expect([number(inner(thread, 4)[0], 1), number(inner(thread, 4)[0], 2)]).toEqual([100, 100]);
    expect(number(thread, 5)).toBe(number(process, 1));
    const names = new Map<number, string>();
    const annotations = new Map<number, string>();
    const seen = packets.flatMap((packet) => {
      for (const data of inner(packet, INTERNED_DATA)) {
        for (const name of inner(data, 2)) names.set(number(name, 1), text(name, 2));
        for (const name of inner(data, 3)) annotations.set(number(name, 1), text(name, 2));
      }
      return inner(packet, TRACK_EVENT).map((event) => {
        expect(number(event, 11)).toBe(number(thread, 1));
        expect(number(packet, TIMESTAMP)).toBe(5_000_000_000_123);
        const fields = inner(event, 4).map((field) => {
          const value = field.has(6) ? text(field, 6) : number(field, 4);
          return `${annotations.get(number(field, 1))}=${value}`;
        });
        return [number(event, 9), names.get(number(event, 10)), ...fields].join(' ');
      });
    });
    expect(seen[0]).toBe('1 mm_migrate_pages mode=MIGRATE_SYNC reason=syscall_or_cpuset');
    expect(seen[1]).toMatch(/^3 set_migration_pte addr=0x[0-9a-f]+ pte=0x[0-9a-f]+ order=0$/);
    expect(seen.at(-1)).toBe(
      '2 mm_migrate_pages succeeded=1 failed=0 thp_succeeded=0 thp_failed=0 thp_split=0 ' +
        'large_folio_split=0 mode=MIGRATE_SYNC reason=syscall_or_cpuset',
    );
  });

  it('one sequence: its state is cleared by the first packet and needed by the others', () => {
    const p = boot();
    const packets = packetsOf(p, () => migrate(p, p.mapWritten(1), 1, 1));
    expect(packets.map((packet) => number(packet, SEQUENCE_FLAGS))).toEqual([
      1,
      ...new Array(packets.length - 1).fill(2),
    ]);
    expect(new Set(packets.map((packet) => number(packet, SEQUENCE_ID)))).toEqual(new Set([1]));
  });

  it('counters are tracks of their own, with units', () => {
    const p = boot();
    const free = { name: 'node 0 free', unit: 'KiB' };
    const rate = { name: 'node 0 migrated to', unit: 'MB/s' };
    const packets = packetsOf(p, (recorder) => {
      recorder.counter(1000, free, 4096);
      recorder.counter(2000, rate, 1.5);
      recorder.counter(3000, free, 8);
    });
    const tracks = packets.flatMap((packet) => inner(packet, TRACK_DESCRIPTOR));
    expect(tracks.map((track) => text(track, 2))).toEqual([free.name, rate.name]);
    const [bytes, other] = tracks.map((track) => inner(track, 8)[0]);
    expect([number(bytes, 3), number(bytes, 4)]).toEqual([3, 1024]);
    expect(text(other, 6)).toBe('MB/s');
    const values = packets.flatMap((packet) =>
      inner(packet, TRACK_EVENT).map((event) => [
        number(packet, TIMESTAMP),
        number(event, 9),
        number(event, 11),
        number(event, 44),
      ]),
    );
    const uuids = tracks.map((track) => number(track, 1));
    expect(values).toEqual([
      [1000, 4, uuids[0], 4096],
      [2000, 4, uuids[1], 1.5],
      [3000, 4, uuids[0], 8],
    ]);
  });
});
