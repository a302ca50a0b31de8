/** `hetmem run --save-state`: one run up to a time, read by `hetmem why` and `hetmem proc`. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandLine } from './commandLine.ts';
import { hetmem } from './hetmem.ts';

describe('hetmem run --save-state', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hetmem-state-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('saves the same bytes of the same run and time, and hetmem reads them', async () => {
    const [a, b] = ['a.hms', 'b.hms'].map((name) => join(folder, name));
    const run = ['run', 'start', '--run', '3', '--at', '10ms', '--save-state'];
    for (const saved of [hetmem(...run, a), await commandLine(...run, b)]) {
      expect(saved).toMatchObject({ code: 0, err: '' });
      expect(saved.out).toMatch(/^State of .*, redis, seed 1 at 10\.\d+ ms: /);
    }
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
    expect((await commandLine('why', a)).out).toContain('100 (redis-server)');
    const status = await commandLine('proc', '--state', a, '/proc/100/status');
    expect(status.out).toContain('VmRSS:');
  });

  it('wants one run, a time and a free name', async () => {
    const file = join(folder, 'c.hms');
    const start = ['run', 'start', '--save-state', file];
    expect(await commandLine(...start)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--run N'),
    });
    expect((await commandLine(...start, '--run', '999')).err).toContain('no such run');
    const soon = await commandLine(...start, '--run', '1', '--at', 'soon');
    expect(soon.err).toContain('is no time');
    expect(existsSync(file)).toBe(false);
  });
});
