import { describe, expect, it } from 'vitest';
import {
  fabricateComparison,
  fabricateMachine,
  withCgroups,
} from '../../test/experiment/fabricate.ts';
import { formatSlowdown } from '../experiment/index.ts';
import { pooled } from './heatMap.ts';
import { escapeHtml, html } from './html.ts';
import { renderReport } from './report.ts';
import { timeParts } from './timeParts.ts';

const count = (text: string, part: string) => text.split(part).length - 1;
const named = (name: string) => ({ name, trace: name, generator: '', params: {} });

describe('html', () => {
  it('escapes what is put in, in text and attributes, and leaves Markup alone', () => {
    const evil = `"><script>alert('1')</script>&`;
    const page = html`<p title="${evil}">${[evil, html`<b>${1}</b>`, null, '']}</p>`;
    const safe = '&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;';
    expect(escapeHtml(evil)).toBe(safe);
    expect(page.text).toBe(`<p title="${safe}">${safe}<b>1</b></p>`);
  });
});

describe('renderReport', () => {
  it('shows every policy in every group, in numbers and pictures', async () => {
    const comparison = await fabricateComparison({ experiment: { seeds: [1, 2, 3] } });
    const page = renderReport(comparison);
    for (const { outcomes } of comparison.groups) {
      for (const { policy, slowdown, representative } of outcomes) {
        const { label } = comparison.policies[policy]!;
        const { time } = comparison.runs[representative]!.result!;
        expect(page).toContain(formatSlowdown(slowdown!.median));
        expect(page).toContain(`<h5>${label}`);
        expect(page).toContain(`aria-label="${label}: ${(time.totalNs / 1e9).toFixed(2)} s"`);
      }
    }
    const nrCards = comparison.groups.length * comparison.policies.length;
    expect(count(page, '<section class="card"')).toBe(nrCards);
    expect(count(page, '<img src="data:image/png;base64,')).toBe(nrCards);
    expect(count(page, 'role="img"')).toBeGreaterThan(3 * nrCards);
    const said = escapeHtml(comparison.verdict).replaceAll(' ', '');
    expect(page.replaceAll(/[ \u00a0]/g, '')).toContain(said);
    expect(page).toContain('pgpromote_success');
    expect(page).toContain('no-destination-memory');
    expect(page).toContain(comparison.command);
    expect(page).toContain(comparison.workloads[0]!.provenance!.sha256);
    expect(page).toContain('Median of 3 seeds');
  });

  it('draws what heat sources saw, with late and missing sightings', async () => {
    const comparison = await fabricateComparison();
    const page = renderReport(comparison);
    const withHeat = comparison.groups.flatMap(({ outcomes }) => {
      return outcomes.filter(({ representative }) => comparison.runs[representative]!.result!.heat);
    });
    expect(withHeat.length).toBeGreaterThan(0);
    expect(count(page, '<figure class="heat">')).toBe(comparison.groups.length);
    expect(count(page, 'class="heat-row')).toBe(withHeat.length);
    expect(count(page, 'aria-label="precision 87.0 %"')).toBe(withHeat.length);
    expect(count(page, 'aria-label="lag 2.00 ms, 90 % in 8.00 ms"')).toBe(withHeat.length);
    // 2 ms and 8 ms within the decade from 1 ms to 10 ms.
    expect(page).toContain('cx="30.1%"');
    expect(page).toContain('class="heat-share" rx="2" x="30.1%" width="60.21%"');
    const runs = comparison.runs.map((run) => {
      const { result } = run;
      if (result?.heat == null) return run;
      return {
        ...run,
        result: { ...result, heat: { ...result.heat, lagNs: null, lag90Ns: null } },
      };
    });
    const blind = renderReport({ ...comparison, runs });
    expect(count(blind, 'aria-label="lag found none"')).toBe(withHeat.length);
    expect(blind).not.toMatch(/NaN|Infinity/);
    const none = comparison.runs.map((run) => {
      return run.result === null ? run : { ...run, result: { ...run.result, heat: null } };
    });
    expect(renderReport({ ...comparison, runs: none })).not.toContain('<figure class="heat">');
  });

  it('tells what control groups had, beside all-DRAM of the same seed', async () => {
    const comparison = await fabricateComparison();
    expect(renderReport(comparison)).not.toContain('Control groups');
    const page = renderReport(withCgroups(comparison));
    expect(count(page, '<h4>Control groups</h4>')).toBe(comparison.groups.length);
    expect(page).toContain('<td>batch (mems 1)</td><td>0.50×</td>');
    expect(page).toContain('<td>web</td><td>1.50×</td>');
    expect(page).toContain('major faults');
  });

  it('tells of each program that ran with others', async () => {
    const comparison = await fabricateComparison();
    const [first] = comparison.workloads;
    const programs = [
      { ...first!, name: 'one' },
      { ...first!, name: 'other', generator: 'gups', provenance: null },
    ];
    const workloads = [{ ...first!, provenance: null, programs }, ...comparison.workloads.slice(1)];
    const page = renderReport({ ...comparison, workloads });
    expect(page).toContain('2 programs at the same time, touches');
    expect(page).toContain(`<h4>one</h4>`);
    expect(page).toContain(first!.provenance!.sha256);
    expect(page).toMatch(/<h4>other<\/h4><dl>.*<code>gups<\/code>/);
  });

  it('asks for nothing from outside and runs nothing', async () => {
    const page = renderReport(await fabricateComparison());
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!;
    expect(policy.replaceAll('&#39;', "'")).toBe(
      "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    );
    for (const [, address] of page.matchAll(/\b(?:src|srcset|href|action|data)="([^"]*)"/g)) {
      expect(address).toMatch(/^data:image\/png;base64,[A-Za-z0-9+/]+=*$/);
    }
    expect(page).not.toMatch(/<(script|link|iframe|object|embed|base|form)\b/i);
    expect(page).not.toMatch(/@import|url\(|\son[a-z]+="/i);
  });

  it('escapes names of machines, workloads, policies, notes and reasons', async () => {
    const evil = '<img src=x onerror=alert(1)>';
    const page = renderReport(
      await fabricateComparison({
        machine: await fabricateMachine('a'),
        experiment: {
          question: evil,
          workloads: [named(evil)],
          policies: [
            { name: 'hemem', params: { [evil]: evil }, label: evil },
            { name: 'oracle', params: {}, label: 'o' },
          ],
        },
        slowdown: (spec) => (spec.policy.name === 'oracle' ? null : 1.2),
      }),
    );
    expect(page).not.toContain(evil);
    expect(page).not.toContain('<script>');
    expect(page).not.toContain('made to fail <i>');
    expect(page).toContain('made to fail &lt;i&gt;');
    expect(page).toContain('made up &lt;script&gt;');
    expect(page).toContain(`<h1>${escapeHtml(evil)}</h1>`);
  });

  it('is well nested and has one h1', async () => {
    const page = renderReport(await fabricateComparison());
    const open: string[] = [];
    const text = page.replace(/<style>[\s\S]*?<\/style>/, '').replace('<!doctype html>', '');
    for (const [, close, name, rest] of text.matchAll(/<(\/?)([a-z0-9]+)((?:"[^"]*"|[^">])*)>/gi)) {
      if (close === '/') expect(open.pop()).toBe(name);
      else if (!rest!.endsWith('/') && !['meta', 'img'].includes(name!)) open.push(name!);
    }
    expect(open).toEqual([]);
    expect(count(page, '<h1>')).toBe(1);
  });

  it('is the same for the same comparison', async () => {
    const again = async () => renderReport(await fabricateComparison());
    expect(await again()).toBe(await again());
  });

  it('does without time series, several nodes, and a group that failed', async () => {
    const page = renderReport(
      await fabricateComparison({
        machine: await fabricateMachine('wide', 4),
        experiment: { seriesPoints: 0, workloads: [named('redis')] },
      }),
    );
    expect(page).not.toContain('class="card"');
    expect(page).toContain('CXL node 4');
    const failed = renderReport(await fabricateComparison({ slowdown: () => null }));
    expect(page).toContain('The best of each column');
    expect(failed).not.toContain('The best of each column');
    expect(failed).toContain('20 of 22 runs failed');
    expect(failed).not.toMatch(/NaN|undefined|Infinity/);
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('stacks parts that add up to the whole', async () => {
    const { runs } = await fabricateComparison({ machine: await fabricateMachine('w', 4) });
    for (const { result } of runs) {
      const sum = timeParts(result!).reduce((total, { ns }) => total + ns, 0);
      expect(sum).toBeCloseTo(result!.time.totalNs, 0);
    }
  });
});

describe('pooled', () => {
  it('leaves a small map as it is', () => {
    const map = { rows: 1, columns: 2, accesses: [1, 2], node: [0, 1] };
    expect(pooled(map)).toBe(map);
  });

  it('keeps the hottest cell of each block, with its node', () => {
    const [rows, columns] = [320, 480];
    const accesses = new Array<number>(rows * columns).fill(1);
    const node = new Array<number>(rows * columns).fill(0);
    accesses[7 * columns + 9] = 1000;
    node[7 * columns + 9] = 1;
    const small = pooled({ rows, columns, accesses, node });
    expect([small.rows, small.columns]).toEqual([160, 240]);
    expect(small.accesses[3 * 240 + 4]).toBe(1000);
    expect(small.node[3 * 240 + 4]).toBe(1);
    expect(small.node.filter((nid) => nid === 1)).toHaveLength(1);
  });

  it('shows memory that is there although nobody accesses it', () => {
    const map = { rows: 320, columns: 1, accesses: Array(320).fill(0), node: Array(320).fill(-1) };
    map.node[1] = 2;
    expect(pooled(map).node[0]).toBe(2);
    expect(pooled(map).node[1]).toBe(-1);
  });
});
