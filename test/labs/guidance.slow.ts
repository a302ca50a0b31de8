/** E7: the guidance says what the model does now. `npm run guidance` writes it. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { GUIDANCE, guidanceDocument } from '../../src/labs/index.ts';

it('docs/guidance is what the labs measure', { timeout: 300_000 }, () => {
  const path = new URL(`../../${GUIDANCE}`, import.meta.url);
  expect(readFileSync(path, 'utf8')).toBe(guidanceDocument());
});
