/**
 * Mutated machine files: whatever a user writes, the answer is a machine that works or a UserError
 * with a place, never another exception.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { UserError } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';
import { MIB } from '../base/units.ts';
import { AccessCost } from './accessCost.ts';
import { interleaveWeights } from './interleaveWeights.ts';
import { parseMachine } from './machineFile.ts';
import { withNodeSize } from './machineResize.ts';
import { demotionTargets, fallbackOrders, memoryTiers } from './memoryTiers.ts';
import { memoryNids, nodeManagedBytes } from './topology.ts';

const MACHINES = new URL('../../machines/', import.meta.url);
const TEXTS = readdirSync(MACHINES)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(new URL(name, MACHINES), 'utf8'));

const VALUES = [
  '0',
  '-1',
  '1e99',
  'null',
  '""',
  '[]',
  '{}',
  'all',
  '64GiB',
  '1ns',
  '0GB/s',
  '7',
  '~',
];

const FILES = 500;

/** One to three changes: a line lost, doubled or swapped, a value replaced, a character changed. */
function mutate(text: string, random: RandomStream): string {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  for (let n = 1 + random.below(3); n > 0; n--) {
    const i = random.below(lines.length);
    const line = lines[i]!;
    const value = VALUES[random.below(VALUES.length)]!;
    switch (random.below(6)) {
      case 0:
        lines.splice(i, 1);
        break;
      case 1:
        lines.splice(i, 0, line);
        break;
      case 2:
        lines[i] = lines[random.below(lines.length)]!;
        break;
      case 3:
        lines[i] = line.replace(/: .*/, `: ${value}`);
        break;
      case 4:
        lines[i] = line.replace(/\d+/, String(random.below(100000)));
        break;
      default: {
        const at = random.below(line.length + 1);
        const char = String.fromCharCode(32 + random.below(95));
        lines[i] = line.slice(0, at) + char + line.slice(at + 1);
      }
    }
  }
  return lines.join('\n');
}

function use(text: string): void {
  const spec = parseMachine(text, 'm.yaml');
  const cost = new AccessCost(spec);
  const memory = memoryNids(spec);
  for (const nid of memory) cost.addTraffic(0, nid, 1e6, 1e6);
  cost.endQuantum(1e6);
  for (const nid of memory) {
    expect(cost.readNs[nid]).toBeGreaterThan(0);
    expect(fallbackOrders(spec)[nid]).toHaveLength(memory.length);
    expect(memoryTiers(spec)[nid]).toBeGreaterThanOrEqual(0);
    expect(interleaveWeights(spec)[nid]).toBeGreaterThan(0);
    const resized = withNodeSize(spec, nid, 300 * MIB);
    expect(nodeManagedBytes(resized.nodes[nid]!)).toBe(300 * MIB);
  }
  expect(demotionTargets(spec)).toHaveLength(spec.nodes.length);
}

test('mutated machine files work or are refused with a place', () => {
  const random = new RandomStream(1, 'mutated machine files');
  let accepted = 0;
  for (let i = 0; i < FILES; i++) {
    const text = mutate(TEXTS[i % TEXTS.length]!, random);
    try {
      use(text);
      accepted++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`file ${i}:\n${text}`, { cause: error });
      expect(error.place).toMatch(/^m\.yaml:\d+:\d+$/);
      expect(error.message).not.toContain('\u0000');
    }
  }
  expect(accepted).toBeGreaterThan(FILES / 20);
  expect(accepted).toBeLessThan(FILES / 2);
});
