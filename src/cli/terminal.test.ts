/** Progress line, table and colours: what they write, and where they write nothing. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { hasColour, paint } from './paint.ts';
import { formatDuration, Progress } from './progress.ts';
import { formatTable } from './table.ts';

function terminal(isTTY: boolean, columns = 80) {
  let text = '';
  const stream = {
    isTTY,
    columns,
    write: (piece: string) => {
      text += piece;
      return true;
    },
  } as unknown as NodeJS.WriteStream;
  return { stream, written: () => text };
}

function progressAt(times: number[], isTTY = true, columns = 80) {
  const { stream, written } = terminal(isTTY, columns);
  const progress = new Progress('replaying', { stream, nowMs: () => times.shift() ?? 0 });
  return { progress, written };
}

describe('Progress', () => {
  it('writes nothing when stderr is no terminal', () => {
    const { progress, written } = progressAt([0, 5000], false);
    progress.update(1, 2);
    progress.clear();
    expect(written()).toBe('');
  });

  it('estimates the rest only once there is a rate to trust', () => {
    const { progress, written } = progressAt([0, 1000, 3000]);
    progress.update(10, 100);
    expect(written()).toBe('\rreplaying  10%\x1b[K');
    progress.update(25, 100, 'gups');
    expect(written().endsWith('\rreplaying  25%  9.0 s left  gups\x1b[K')).toBe(true);
    progress.clear();
    expect(written().endsWith('\r\x1b[K')).toBe(true);
  });

  it('redraws at most ten times a second', () => {
    const { progress, written } = progressAt([0, 100, 150, 199, 200]);
    for (const done of [1, 2, 3, 4]) progress.update(done, 100);
    expect(written()).toBe('\rreplaying  1%\x1b[K\rreplaying  4%\x1b[K');
  });

  it('stays on one line of a narrow terminal, and shows no share of an unknown total', () => {
    const { progress, written } = progressAt([0, 5000], true, 20);
    progress.update(7, 0, 'a long note that does not fit');
    expect(written()).toBe('\rreplaying  a long n\x1b[K');
  });

  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [9949, '9.9 s'],
    [9950, '10 s'],
    [59_400, '59 s'],
    [59_600, '1 min 00 s'],
    [125_000, '2 min 05 s'],
    [3_720_000, '1 h 02 min'],
  ])('says %i ms as %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });
});

describe('formatTable', () => {
  it('puts numbers right, text left, and ends lines without blanks', () => {
    const columns = [{ title: 'policy' }, { title: 'slowdown' }, { title: 'note' }];
    const rows = [
      ['first-touch', 1.5, ''],
      ['oracle', 10, 'knows'],
    ];
    expect(formatTable(columns, rows)).toBe(
      [
        'policy       slowdown  note',
        '────────────────────────────',
        'first-touch       1.5',
        'oracle             10  knows',
        '',
      ].join('\n'),
    );
  });

  it('takes the alignment that is asked for, and prints a title without rows', () => {
    const columns = [{ title: 'size', align: 'right' as const }, { title: 'n' }];
    expect(formatTable(columns, [['4 KiB', 'x']])).toBe(' size  n\n────────\n4 KiB  x\n');
    expect(formatTable(columns, [])).toBe('size  n\n───────\n');
  });
});

describe('formatTable on a narrow terminal', () => {
  const columns = [{ title: 'n' }, { title: 'what', wraps: true }];
  const rows = [['x', 'one two three four five six seven']];

  it('breaks the texts that may be broken, and nothing where there is room', () => {
    expect(formatTable(columns, rows, { widthMax: 23 })).toBe(
      'n  what\n─────────────────────\nx  one two three four\n   five six seven\n',
    );
    expect(formatTable(columns, rows, { widthMax: 80 }).split('\n')).toHaveLength(4);
    expect(formatTable(columns, rows).split('\n')).toHaveLength(4);
  });

  it('leaves a column readable', () => {
    const text = formatTable(columns, rows, { widthMax: 5 });
    expect(text).toContain('one two three');
  });
});

describe('paint', () => {
  afterEach(() => vi.unstubAllEnvs());

  it.each([
    { isTTY: true, noColor: '', term: 'xterm', isColoured: true },
    { isTTY: false, noColor: '', term: 'xterm', isColoured: false },
    { isTTY: true, noColor: '1', term: 'xterm', isColoured: false },
    { isTTY: true, noColor: '', term: 'dumb', isColoured: false },
  ])('colours $isColoured for %o', ({ isTTY, noColor, term, isColoured }) => {
    vi.stubEnv('NO_COLOR', noColor);
    vi.stubEnv('TERM', term);
    const { stream } = terminal(isTTY);
    expect(hasColour(stream)).toBe(isColoured);
    const text = paint('red', 'x', stream as NodeJS.WriteStream & { fd: 1 });
    expect(text).toBe(isColoured ? '\x1b[31mx\x1b[39m' : 'x');
  });
});
