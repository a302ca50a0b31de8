/** `hetmem run --save-state`: one run up to a time, read by `hetmem why` and `hetmem proc`. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hetmem } from './hetmem.ts';

describe('hetmem run --save-state', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hetmem-state-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('saves the same bytes of the same run and time, and hetmem reads them', () => {
    const [a, b] = ['a.hms', 'b.hms'].map((name) => join(folder, name));
    for (const file of [a, b]) {
      const saved = hetmem('run', 'start', '--run', '3', '--at', '10ms', '--save-state', file);
      expect(saved).toMatchObject({ code: 0, err: '' });
      expect(saved.out).toMatch(/^State of .*, redis, seed 1 at 10\.\d+ ms: /);
    }
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
    expect(hetmem('why', a).out).toContain('100 (redis-server)');
    expect(hetmem('proc', '--state', a, '/proc/100/status').out).toContain('VmRSS:');
  });

  it('wants one run, a time and a free name', () => {
    const file = join(folder, 'c.hms');
    const start = ['run', 'start', '--save-state', file];
    expect(hetmem(...start)).toMatchObject({ code: 2, err: expect.stringContaining('--run N') });
    expect(hetmem(...start, '--run', '999').err).toContain('no such run');
    expect(hetmem(...start, '--run', '1', '--at', 'soon').err).toContain('is no time');
    expect(existsSync(file)).toBe(false);
  });
});
