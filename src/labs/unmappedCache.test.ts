/** B7, A2: hot page cache that nobody maps. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';
import { unmappedCache as lab } from './unmappedCache.ts';

const result = runLab(lab, { seed: 1, settings: ['pages=64'] }, 'test');
const reader = new FigureReader(result.figures);
const POSTED = 'move_phys_pages, RFC v3';
const FLAGGED = '... with UNMAPPED_CACHE';

describe('who brings cache to the fast node', () => {
  it.each([
    ['reading it again', 'read', 0, 0],
    ['move_pages', 'no address', 0, 64],
    ['migrate_pages', 'done', 0, 64],
    ['NUMA balancing, tiering', '0 entries marked', 0, 64],
    [POSTED, '-ENOENT', 0, 64],
    ['move_phys_pages2', '-ENOENT', 0, 64],
    [FLAGGED, 'done', 64, 64],
  ])('PP-13, PP-78, TI-20: %s', (by, answer, unmapped, mapped) => {
    expect(reader.text('brought', [by], 'nobody maps it')).toBe(answer);
    expect(reader.number('brought', [by], 'fast')).toBe(unmapped);
    expect(reader.number('brought', [by], 'fast then')).toBe(mapped);
  });

  it('HS-85: DAMON of physical memory, mapped or not', () => {
    expect(reader.number('brought', ['DAMON paddr, migrate_hot'], 'fast')).toBe(64);
  });

  it('HS-3, HS-6: the idle bitmap sees what page tables do not', () => {
    const column = 'nobody maps it';
    expect(reader.number('seen', ['page_idle bitmap'], column)).toBe(64);
    expect(reader.number('seen', ['NUMA hint faults'], column)).toBe(0);
    expect(reader.number('seen', ['page table entries, by rmap'], column)).toBe(0);
    expect(reader.number('seen', ['NUMA hint faults'], 'a process maps it')).toBe(64);
  });

  it('TI-23: demoted cache stays down unless it is mapped', () => {
    const slow = reader.number('demotion', ['nobody'], 'demoted');
    expect(slow).toBeGreaterThan(0);
    expect(reader.number('demotion', ['nobody'], 'slow in the end')).toBe(slow);
    expect(reader.number('demotion', ['one process'], 'demoted')).toBeGreaterThan(0);
    expect(reader.number('demotion', ['one process'], 'slow in the end')).toBe(0);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toBe(
      'Only DAMON paddr, migrate_hot and move_phys_pages2 with UNMAPPED_CACHE; ' +
        'the posted call says -ENOENT. The idle bitmap sees 64 pages of it in use.',
    );
    expect(result.positions.map(({ support }) => support)).toEqual(['partly', 'partly']);
  });

  it('had the posted call moved it, had DAMON not', () => {
    const other = withFigures(lab, result, [
      { figure: 'brought', row: [POSTED], column: 'fast', to: 64 },
      { figure: 'brought', row: ['DAMON paddr, migrate_hot'], column: 'fast', to: 0 },
    ]);
    expect(other.verdict).toContain(`Only ${POSTED} and`);
    expect(other.verdict).toContain('the posted call moves 64 pages');
    expect(other.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  });
});
