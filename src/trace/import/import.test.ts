/**
 * Importers against small inputs in the documented formats: what comes out is written out here.
 * The perf lines have the spacing of perf 6.1, the DAMON lines that of Linux 6.1 and damo 3.
 */
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type PlainItem, type PlainSlice, readAll } from '../../../test/trace/traceFile.ts';
import { UserError } from '../../base/assert.ts';
import { deflateCodec } from '../../live/codec.ts';
import { MemorySink, MemorySource } from '../byteStream.ts';
import { utf8Encode } from '../bytes.ts';
import { exportSteps } from '../exportText.ts';
import { runSteps } from '../steps.ts';
import { TraceReader } from '../traceReader.ts';
import { type ImportOptions, importSteps } from './guess.ts';
import { LineReader } from './lineReader.ts';

interface Imported {
  readonly format: string;
  readonly reader: TraceReader;
  readonly items: PlainItem[];
  /** `pid.tid clock R|W address` of each access, clock only of the slice's first. */
  readonly accesses: string[];
  readonly mappings: string[];
}

function importText(input: string | Uint8Array, options: ImportOptions = {}): Imported {
  const bytes = typeof input === 'string' ? utf8Encode(input) : input;
  const sink = new MemorySink();
  const source = new MemorySource(bytes, 'in.txt');
  const { format } = runSteps(importSteps(source, sink, deflateCodec(), options));
  const reader = new TraceReader(new MemorySource(sink.bytes()), [deflateCodec()], { lines: true });
  const items = readAll(reader);
  const slices = items.filter((item): item is PlainSlice => !('kind' in item));
  return {
    format,
    reader,
    items,
    accesses: slices.flatMap(({ pid, tid, insnStart, vpn, lineWrite }) =>
      vpn.map((page, i) => {
        const addr = page * 4096 + (lineWrite[i]! >>> 1) * 64;
        const clock = i === 0 ? `${insnStart} ` : '';
        return `${pid}.${tid} ${clock}${lineWrite[i]! & 1 ? 'W' : 'R'} ${addr.toString(16)}`;
      }),
    ),
    mappings: items.flatMap((item) =>
      'kind' in item && item.kind === 'mmap'
        ? [`${item.pid} ${item.addr.toString(16)}+${item.len.toString(16)}`]
        : [],
    ),
  };
}

describe('lackey', () => {
  const TEXT = `==6725== Lackey, an example Valgrind tool
==6725== Using Valgrind-3.19.0 and LibVEX; rerun with -h for copyright info
==6725== Command: /bin/true -x
==6725==
I  0401ab70,3
I  0401ab73,5
 S 1fff000768,8
I  0401b770,1
 L 1fff000760,8
 M 04222d7c,8
I  0401b771,7
 L 04222dff,2
==6725==
`;

  it('becomes accesses by line, with instructions as the clock', () => {
    const { format, reader, accesses, mappings } = importText(TEXT);
    expect(format).toBe('lackey');
    expect(accesses).toEqual([
      '0.0 2 W 1fff000740',
      '0.0 R 1fff000740',
      // a modify is a load and a store; 8 bytes at ...7c reach into the next line
      '0.0 3 R 4222d40',
      '0.0 R 4222d80',
      '0.0 W 4222d40',
      '0.0 W 4222d80',
      '0.0 R 4222dc0',
      '0.0 R 4222e00',
    ]);
    expect(mappings).toEqual(['0 1fff000000+200000', '0 4200000+200000']);
    expect(reader.header).toMatchObject({
      program: '/bin/true',
      args: ['-x'],
      recorder: { name: 'valgrind lackey', version: '3.19.0' },
      accessKind: 'all',
      timeBase: { unit: 'instructions' },
    });
    expect(reader.processes[0]).toMatchObject({ recordedPid: 6725 });
  });

  it('without instructions counts accesses', () => {
    const { reader, items } = importText(' L 00010000,4\r\n S 00010040,4\r\n');
    expect(reader.header.timeBase.unit).toBe('accesses');
    expect(items.at(-1)).toMatchObject({ insnStart: 1, insnEnd: 2 });
  });

  it('says which line is wrong', () => {
    const good = ' L 00010000,4\n';
    for (const bad of [' L 0001000', ' L ,4', ' L 0001000g,4', ' X 00010000,4', 'hello', ' S 1,']) {
      const text = `${good}${good}${bad}\n${good}`;
      expect(() => importText(text)).toThrow(UserError);
      expect(() => importText(text)).toThrow(/^in\.txt:3: no .*lackey/);
    }
  });

  it('exported and imported again is the same', () => {
    const first = importText(TEXT);
    const text = exported(first.reader);
    const again = importText(text);
    expect(addresses(again)).toEqual(addresses(first));
    expect(exported(again.reader)).toBe(text);
  });
});

function exported(reader: TraceReader): string {
  const sink = new MemorySink();
  reader.rewind();
  runSteps(exportSteps(reader, sink, 'lackey'));
  return new TextDecoder().decode(sink.bytes());
}

function addresses({ accesses }: Imported): string[] {
  return accesses.map((access) => access.replace(/^\S+ (?:\d+ )?(?=[RW])/, ''));
}

function addressesOf(imported: Imported, pid: number): string[] {
  const accesses = imported.accesses.filter((access) => access.startsWith(`${pid}.`));
  return addresses({ ...imported, accesses });
}

describe('perf script', () => {
  it('reads pid, tid, cpu, time, event, addr, phys_addr and data_src as perf prints them', () => {
    const { format, reader, accesses, mappings } = importText(
      [
        '# captured on    : Sat Nov 21 08:54:32 2026',
        '# perf version : 6.1.187',
        '           redis  700/701   [000]  4247.551136: cpu/mem-loads,ldlat=30/P:     ' +
          '55f246bd65c0      68100142 |OP LOAD|LVL L1 hit|SNP None|TLB L1 or L2 hit|LCK No|BLK  ' +
          'N/A        3f65c0',
        '           redis  700/700   [001]  4247.551166: cpu/mem-stores/P:     ' +
          '7f8c6699f110       5080144 |OP STORE|LVL L1 hit|SNP N/A|TLB N/A|LCK N/A|BLK  ' +
          'N/A               0',
        '         my prog  801/801   [001]  4247.551170: cpu/mem-stores/P:     ' +
          '7f8c6699f150       5080144 |OP STORE|LVL L1 hit|SNP N/A|TLB N/A|LCK N/A|BLK  ' +
          'N/A               0',
        '',
      ].join('\n'),
    );
    expect(format).toBe('perf');
    expect(accesses).toEqual([
      '0.0 0 R 55f246bd65c0',
      '0.1 30000 W 7f8c6699f100',
      '1.2 34000 W 7f8c6699f140',
    ]);
    expect(mappings).toEqual([
      '0 55f246a00000+200000',
      '0 7f8c66800000+200000',
      '1 7f8c66800000+200000',
    ]);
    expect(reader.header).toMatchObject({
      accessKind: 'samples',
      recorder: { name: 'perf', version: '6.1.187' },
      timeBase: { unit: 'nanoseconds', unitsPerSecond: 1e9 },
    });
    expect(reader.processes.map((p) => [p.name, p.recordedPid])).toEqual([
      ['redis', 700],
      ['my prog', 801],
    ]);
    expect(reader.threads.map((t) => t.recordedTid)).toEqual([701, 700, 801]);
  });

  it.each([
    ['tid, time, addr', '  449  4224.529449:     563e646c3424\n', '0.0 0 R 563e646c3400'],
    ['tid, cpu, --ns', '  700 [000]  4247.551136629: page-faults:     55f246bd65c0\n', ''],
    ['event, addr', 'page-faults:     55f246bd65c0\n', '0.0 1 R 55f246bd65c0'],
    ['comm, pid, event, addr', '   ls   700 page-faults:     55f246bd65c0\n', ''],
    ['phys_addr', '  7/7   [000]  1.5: page-faults:     55f246bd65c0     1f5c0\n', ''],
    [
      'period, ip, sym',
      ' python3   449  4224.529507:          1 page-faults:      55f246bd65c0 7fb6fed2eb70 ' +
        '_start+0x0 (/ld.so)\n',
      '',
    ],
    ['0x', ' 7/7 1.5: mem-loads: 0x55f246bd65c0\n', ''],
  ])('reads the variant with %s', (_, text, expected) => {
    const { accesses, reader } = importText(text, { format: 'perf' });
    expect(accesses).toHaveLength(1);
    expect(accesses[0]).toMatch(expected === '' ? /R 55f246bd65c0$/ : expected);
    expect(reader.processes).toHaveLength(1);
  });

  it('tells loads and stores apart by the event where there is no data_src', () => {
    const line = (event: string) => ` a 1/1 [000] 1.000000: ${event}: 55f246bd65c0\n`;
    const text = line('cpu/mem-loads/P') + line('cpu/mem-stores/P') + line('mem-stores');
    expect(importText(text).accesses.map((a) => /[RW] /.exec(a)?.[0])).toEqual(['R ', 'W ', 'W ']);
  });

  it('leaves out kernel addresses and samples without one, and counts them', () => {
    const { reader, accesses } = importText(
      ` a 1/1 [000] 1.000000: mem-loads: 55f246bd65c0
 a 1/1 [000] 1.000001: mem-loads: ffff888100000000
\tffffffff81752b6a elf_load (kernel)

 a 1/1 [000] 1.000002: mem-loads: 0
`,
    );
    expect(accesses).toHaveLength(1);
    expect(reader.summary?.recorder).toEqual({ skippedKernel: 1, skippedNoAddress: 1 });
  });

  it('keeps clocks from going back', () => {
    const { items } = importText(
      ` a 1/1 [000] 1.000005: mem-loads: 55f246bd65c0
 a 1/2 [000] 1.000002: mem-loads: 55f246bd65c0
 a 1/1 [000] 1.000003: mem-loads: 55f246bd65c0
`,
    );
    const slices = items.filter((item) => !('kind' in item));
    expect(slices).toMatchObject([
      { tid: 0, insnStart: 0 },
      { tid: 1, insnStart: 0 },
      { tid: 0, insnStart: 0 },
    ]);
  });

  it('says which line is wrong', () => {
    const good = ' a 1/1 [000] 1.000000: mem-loads: 55f246bd65c0\n';
    expect(() => importText(`${good}what is this\n`)).toThrow(
      /^in\.txt:2: no sample.*what is this/,
    );
    expect(() => importText(`${good} a 1/1 [000] 1.000000: mem-loads: zebra\n`)).toThrow(
      /^in\.txt:2: a sample without address/,
    );
    expect(() => importText(' a 1/1 [000] 1.000000: mem-loads: ffff888100000000\n')).toThrow(
      /all 1 samples lack a user address/,
    );
  });
});

const REGIONS = [
  { start: '94,219,161,083,904', end: '94,219,161,092,096', nr_accesses: { samples: '2' }, age: 0 },
  { start: 140731667070976, end: '140731667075072', nr_accesses: { percent: '5 %' }, age: 0 },
  { start: 0, end: 4096, nr_accesses: { samples: 0, percent: null }, age: 0 },
];
const RECORDS = [
  {
    kdamond_idx: 0,
    intervals: { sample_us: '5 ms', aggr_us: '100 ms', ops_update_us: '1 s' },
    target_id: 7,
    snapshots: [
      { start_time: '1 s', end_time: '1 s 100 ms', regions: REGIONS, total_bytes: '12.000 KiB' },
      { start_time: 1.1e9, end_time: 1.2e9, regions: REGIONS.slice(1), total_bytes: null },
    ],
  },
];

describe('damo', () => {
  it.each([
    ['json', JSON.stringify(RECORDS, null, 4), 'damo'],
    ['json_compressed', deflateSync(JSON.stringify(RECORDS)), 'damo'],
  ])('%s becomes nr_accesses reads of each page, spread over the snapshot', (_, input, name) => {
    const imported = importText(input);
    const { format, reader } = imported;
    expect(format).toBe(name);
    expect(reader.header.accessKind).toBe('synthetic');
    expect(reader.header.notes.join()).toMatch(/DAMON/);
    expect(addresses(imported)).toEqual([
      // two rounds of the first snapshot: two samples of one region, 5 % of 20 of the other
      'R 55b11ba0a000',
      'R 55b11ba0b000',
      'R 7ffea5064000',
      'R 55b11ba0a000',
      'R 55b11ba0b000',
      'R 7ffea5064000',
    ]);
    const [first, last] = [
      reader.summary?.threads[0]?.insnFirst,
      reader.summary?.threads[0]?.insnLast,
    ];
    expect([first, last]).toEqual([0, 1e8]);
  });

  it('takes every n-th page of large regions, another n-th each snapshot', () => {
    const region = { start: 0x100000000, end: 0x200000000, nr_accesses: { samples: 1 }, age: 0 };
    const snapshots = [1, 2].map((second) => ({
      start_time: second * 1e9,
      end_time: (second + 1) * 1e9,
      regions: [region],
    }));
    const { reader } = importText(JSON.stringify([{ target_id: 0, snapshots }]));
    // 2^20 pages, 65536 accesses a snapshot
    expect(reader.summary?.accesses).toBe(2 * 65536);
    expect(reader.summary?.processes[0]?.touchedPages).toBe(2 * 65536);
  });

  const LINE =
    'kdamond.0  4452 [000] 82877.315633: damon:damon_aggregated: target_id=18446623435582458880 ' +
    'nr_regions=2 94219161083904-94219161092096: 2 3\n';

  it('perf-script text becomes the same, with and without age', () => {
    const second = LINE.replace('94219161083904-94219161092096: 2 3', '4096-8192: 1');
    const other = LINE.replace('nr_regions=2', 'nr_regions=1').replace('8880', '0000');
    const imported = importText(LINE + second + other);
    const { format, reader } = imported;
    expect(format).toBe('damo-perf');
    expect(addressesOf(imported, 0)).toEqual([
      'R 55b11ba0a000',
      'R 55b11ba0b000',
      'R 1000',
      'R 55b11ba0a000',
      'R 55b11ba0b000',
    ]);
    expect(addressesOf(imported, 1)).toEqual([
      'R 55b11ba0a000',
      'R 55b11ba0b000',
      'R 55b11ba0a000',
      'R 55b11ba0b000',
    ]);
    expect(reader.threads).toHaveLength(2);
  });

  it('reads damos_before_apply too', () => {
    const text =
      'kdamond.0 47293 [000] 80801.060214: damon:damos_before_apply: ctx_idx=0 scheme_idx=0 ' +
      'target_idx=0 nr_regions=1 121932607488-121932611584: 1 136\n';
    expect(importText(text).accesses).toEqual(['0.0 0 R 1c63bff000']);
  });

  it('says what is wrong, and where', () => {
    expect(() => importText('[{"target_id": 1,\n "snapshots": [}]')).toThrow(
      /^in\.txt:2: broken JSON/,
    );
    expect(() => importText('[{"target_id": 1}]')).toThrow(/record 0: no list of snapshots/);
    const broken = JSON.parse(JSON.stringify(RECORDS)) as typeof RECORDS;
    broken[0]!.snapshots[1]!.regions[0]!.start = 'zebra';
    expect(() => importText(JSON.stringify(broken))).toThrow(
      /record 0, snapshot 1: start is "zebra"/,
    );
    const cut = deflateSync(JSON.stringify(RECORDS)).subarray(0, 100);
    expect(() => importText(cut)).toThrow(/in\.txt: damaged zlib stream/);
    expect(() => importText(LINE + LINE.replace('nr_regions', 'zebra'))).toThrow(
      /^in\.txt:2: no region of DAMON/,
    );
  });
});

describe('guessing', () => {
  it('asks for help when it cannot tell', () => {
    expect(() => importText('some text\nthat is no trace\n')).toThrow(/--format: damo.*perf/);
    expect(() => importText('')).toThrow(/empty file/);
    expect(() => importText('PERFILE2\0\0')).toThrow(/perf script -F/);
    expect(() => importText(' L 00010000,4\n', { format: 'zebra' })).toThrow(/one of damo/);
  });
});

describe('LineReader', () => {
  it('gives lines of any length over any buffer boundary', () => {
    const lengths = [0, 1, 70000, 0, 900000, 3, 500000, 12, 0];
    const text = lengths.map((length, i) => String(i).repeat(length)).join('\n');
    const reader = new LineReader(new MemorySource(utf8Encode(text)));
    const seen: number[] = [];
    while (reader.next()) seen.push(reader.end - reader.start);
    expect(seen).toEqual(lengths.slice(0, -1));
    expect(reader.number).toBe(lengths.length - 1);
  });

  it('refuses a line of more than a MiB', () => {
    const reader = new LineReader(new MemorySource(new Uint8Array(1 << 21).fill(65), 'x'));
    expect(() => reader.next()).toThrow(/x:1: a line of more than 1 MiB/);
  });
});
