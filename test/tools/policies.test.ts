/** docs/policies.md is what the policies say of themselves. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { RandomStream } from '../../src/base/prng.ts';
import { findPolicy, POLICIES, resolveKnobs } from '../../src/policy/index.ts';
import { POLICIES_DOCUMENT, policiesDocument, readPolicySources } from '../../tools/policies.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

function make(name: string) {
  const policy = findPolicy(name)!;
  return policy.make(resolveKnobs(policy.knobs, {}).values, new RandomStream(1, name));
}

it('docs/policies.md is current: npm run policies', () => {
  const document = policiesDocument(POLICIES, make, readPolicySources(root));
  expect(readFileSync(`${root}${POLICIES_DOCUMENT}`, 'utf8')).toBe(document);
});

it('every policy says what it decides on', () => {
  const document = policiesDocument(POLICIES, make, readPolicySources(root));
  const rows = document.split('\n').filter((line) => line.startsWith('| [`'));
  expect(rows).toHaveLength(POLICIES.length);
  for (const row of rows) expect(row).not.toContain(') | – |');
});
