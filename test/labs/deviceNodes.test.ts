/** docs/model/device-nodes.md is current. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NODES_DOCUMENT, nodesDocument } from '../../src/labs/index.ts';

it('is what the model does today: npm run device-nodes', () => {
  const path = new URL(`../../${NODES_DOCUMENT}`, import.meta.url);
  expect(readFileSync(path, 'utf8')).toBe(nodesDocument());
});
