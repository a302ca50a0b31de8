import { describe, expect, it } from 'vitest';
import { deviationsDocument, deviationsIn } from '../../tools/deviations.mjs';
import { checkDeviations } from './deviations.ts';
import { projectOf } from './fixture.ts';

describe('deviationsIn', () => {
  it('takes a tag to the end of its paragraph, of the comment, or to the next tag', () => {
    const source = [
      '/**',
      ' * mm/migrate.c. Not modelled: huge zero page,',
      ' * soft-dirty bits.',
      ' * Order: unmap, then copy.',
      ' * Deviates: one list.',
      ' *',
      ' * A new paragraph.',
      ' */',
      'x(); // Deviates: behind code.',
      'y(); // Any other comment.',
      '  // Deviates: rounds up (MC-3),',
      '  // because it is cheaper.',
      "  const tag = 'Deviates: no comment';",
      '/** Not modelled: one line. */',
    ];
    expect(deviationsIn(source.join('\n'))).toEqual([
      { tag: 'Not modelled', text: 'huge zero page, soft-dirty bits.' },
      { tag: 'Deviates', text: 'one list.' },
      { tag: 'Deviates', text: 'behind code.' },
      { tag: 'Deviates', text: 'rounds up (MC-3), because it is cheaper.' },
      { tag: 'Not modelled', text: 'one line.' },
    ]);
  });
});

describe('deviations-are-listed', () => {
  const sources = { 'src/mm/a.ts': '// Deviates: x\n' };
  const tests = { 'src/mm/a.test.ts': '// Deviates: y\n' };

  it('wants the document to be current', () => {
    const findings = checkDeviations(projectOf({ ...sources, 'docs/model/deviations.md': '# x' }));
    expect(findings).toHaveLength(1);
    expect(findings[0].message).toContain('npm run deviations');
    expect(checkDeviations(projectOf(sources))).toHaveLength(1);
  });

  it('lists sources by folder with a link, without tests', () => {
    const document = deviationsDocument(new Map(Object.entries(sources)));
    expect(document).toMatch(/^# What the model does otherwise\n/);
    expect(document).toContain('## mm\n\n- [`a.ts`](../../src/mm/a.ts) **Deviates:** x\n');
    const project = projectOf({ ...sources, ...tests, 'docs/model/deviations.md': document });
    expect(checkDeviations(project)).toEqual([]);
  });
});
