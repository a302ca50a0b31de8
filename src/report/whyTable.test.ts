import { describe, expect, it } from 'vitest';
import { fabricateComparison } from '../../test/experiment/fabricate.ts';
import { escapeHtml } from './html.ts';
import { renderReport } from './report.ts';
import { whyTable } from './whyTable.ts';

describe('why pages did not move', () => {
  it('has each cause once, with pages by policy, rules, remedy and examples, escaped', async () => {
    const { runs } = await fabricateComparison();
    const rows = runs.flatMap(({ result }, n) => {
      return result === null ? [] : [{ label: `policy ${n}`, result }];
    });
    const { text } = whyTable(rows);
    const causes = new Set(rows.flatMap(({ result }) => result.migration.reasons));
    expect(causes.size).toBeGreaterThan(0);
    expect(text.match(/<b>no-destination-memory<\/b>/g)).toHaveLength(1);
    expect(text).toContain(escapeHtml('a sentence about no-destination-memory <&>'));
    expect(text).toContain('(MC-0)');
    expect(text).toContain('To free them: a remedy for no-destination-memory.');
    expect(text).toContain('pfn 4711 on node 0');
    expect(text).not.toContain('pinned');
  });

  it('is left out where everything moved', async () => {
    const { runs } = await fabricateComparison();
    const still = runs.find(({ result }) => result?.migration.reasons.length === 0);
    expect(whyTable([{ label: 'x', result: still!.result! }]).text).toBe('');
  });

  it('stands in the report', async () => {
    expect(renderReport(await fabricateComparison())).toContain('Why pages did not move');
  });
});
