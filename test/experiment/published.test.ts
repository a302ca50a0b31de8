/** The shipped published tables: files are right, and docs/published.md has what they say. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packageLibrary } from '../../src/cli/comparisonRun.ts';
import { PUBLISHED_DOCUMENT, publishedSection } from '../../src/published/index.ts';
import { readTables, runPublished } from '../../src/runner/index.ts';

const FOLDER = new URL('../../experiments/published/', import.meta.url).pathname;
const library = await packageLibrary(FOLDER);
const tables = await readTables(FOLDER, library);
const document = readFileSync(new URL(`../../${PUBLISHED_DOCUMENT}`, import.meta.url), 'utf8');

describe('docs/published.md is current (npm run published)', () => {
  it.each(tables.map((table) => [table.name, table] as const))('%s', async (name, table) => {
    expect(document).toContain(`## ${name}\n\n**${table.title}.** ${table.question}\n`);
    for (const { means, whyNot, shownBy } of table.rules) {
      expect(document).toContain(means);
      expect(whyNot === '' || shownBy !== null, `what shows that ${whyNot}`).toBe(true);
    }
    // Programs take seconds; what needs none is measured here, to the letter.
    if (table.measure === 'program') return;
    const result = await runPublished(table, { library, jobs: 1 });
    expect(document).toContain(publishedSection(result));
  });
});

it('our figures bear out every reason that is given for a rule that fails', () => {
  expect(document).toContain('Shown: ');
  expect(document.match(/.*Not shown: .*/g) ?? []).toEqual([]);
});
