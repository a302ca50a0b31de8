/** `hetmem why` and saved states: the same answers from a case, from its state, and a process. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandLine } from './commandLine.ts';
import { BIN, hetmem } from './hetmem.ts';

const CASE = 'pin_normal_node1';
const PINNED = '100:0x700000000000';

describe('hetmem why', () => {
  let folder = '';
  let state = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hetmem-why-'));
    state = join(folder, 'pin.hms');
    const saved = hetmem('conform', '--case', CASE, '--save-state', state);
    expect(saved).toMatchObject({ code: 0 });
    expect(saved.out.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed, 0 skipped');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('names the pin, its holder, rules and what calls would answer (MC-27, PM-22)', async () => {
    const { code, out } = await commandLine('why', '--case', CASE, PINNED, '--to', '0');
    expect(code).toBe(0);
    expect(out).toContain('refcount 1026 = 1 expected (mapcount 1)');
    expect(out).toContain(
      'holder   io_uring registered buffer "pin u1" of process 100: 1 FOLL_PIN',
    );
    expect(out).toContain('pinned (MC-27, OV-15, PM-22)');
    expect(out).toContain('move_pages MPOL_MF_MOVE: returns 1, status unchanged (pinned)');
    expect(out).toContain('mbind MPOL_BIND MPOL_MF_STRICT|MPOL_MF_MOVE: returns -EIO (pinned)');
  });

  it('says the same of the saved state, also when the file stands first', async () => {
    const places = [PINNED, 'block:44', 'pfn:1444868'];
    const ofCase = await commandLine('why', '--case', CASE, ...places);
    expect(await commandLine('why', '--state', state, ...places)).toEqual(ofCase);
    expect(hetmem('why', state, ...places)).toEqual(ofCase);
    expect(ofCase.out).toContain('refused at once: -EBUSY');
  });

  it('tells what alloc_contig_range and cma_alloc of ranges come to (PM-80)', async () => {
    const { code, out } = await commandLine(
      'why',
      state,
      'cma:reserved+512',
      '--align',
      '9',
      'range:1444868+4',
    );
    expect(code).toBe(0);
    expect(out).toContain('32768 pages, 32768 free in its bitmap');
    expect(out).toContain('gives pfn 1310720');
    expect(out).toContain('refused at once: -EBUSY');
    expect(out).toContain('holder   io_uring registered buffer "pin u1" of process 100 (main)');
  });

  it('without a place tells holders and blocks; --json gives objects', async () => {
    const { out } = await commandLine('why', state);
    expect(out).toContain('io_uring registered buffer "pin u1" of process 100: 4 pages');
    expect(out).toContain('block:44 (node 1): unmovable');
    const [page] = JSON.parse((await commandLine('why', state, PINNED, '--json')).out);
    expect(page.causes[0]).toMatchObject({ name: 'pinned', rules: 'MC-27, OV-15, PM-22' });
    expect(page.would[0]).toMatchObject({ returns: 1, status: null, isCertain: true });
  });

  it('asks with the rights of --by, and of an address without a page (MP-20, MP-22)', async () => {
    const { out } = await commandLine(
      'why',
      state,
      '100:0x123000',
      '100:0x700000003000',
      '--by',
      '1',
    );
    expect(out).toContain('move_pages MPOL_MF_MOVE: returns 0, status -EFAULT (not-mapped)');
    expect(out).toContain('returns 1, status unchanged (pinned)');
  });

  it('refuses what is no place, no process, no node, no block, with exit code 2', async () => {
    const wrong = [
      [['nonsense:1'], 'no such file'],
      [['4711:0x1000'], 'no process 4711'],
      [[PINNED, '--to', '9'], 'no such node'],
      [['block:9999'], 'no such memory block'],
      [['pfn:1'], 'no memory at this PFN'],
      [['cma:movie'], 'no such CMA area'],
      [['range:1444868+99999999'], 'no memory at PFN'],
    ] as const;
    for (const [args, problem] of wrong) {
      const source = args[0].startsWith('nonsense') ? [] : [state];
      expect(await commandLine('why', ...source, ...args)).toMatchObject({
        code: 2,
        err: expect.stringContaining(problem),
      });
    }
    expect(hetmem('why', 'pfn:5')).toMatchObject({ code: 2 });
    const place = await commandLine('why', '--case', 'pin_normal_node1', '100:zz');
    expect([place.code, place.err]).toEqual([2, expect.stringContaining('100:zz: is no place')]);
  });

  it('refuses a cut or foreign state with place and remedy, and never half-reads it', async () => {
    const bytes = readFileSync(state);
    const cut = join(folder, 'cut.hms');
    writeFileSync(cut, bytes.subarray(0, bytes.length - 100));
    const { code, err } = await commandLine('why', cut, PINNED);
    expect(code).toBe(2);
    expect(err).toMatch(/cut\.hms: byte \d+ of \d+: the saved state is cut/);
    expect((await commandLine('why', BIN, PINNED)).err).toContain('is no saved state of hetmem');
    const again = await commandLine('conform', '--case', CASE, '--save-state', state);
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining('exists already') });
  });
});
