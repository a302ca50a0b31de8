/** The nodes of the lab latency-or-bandwidth are those of the shipped machine that it names. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { machineFileReader } from '../../src/hw/index.ts';
import { expanderMachine } from '../../src/labs/index.ts';

it('nodes as in machines/dram-4cxl.yaml', async () => {
  const { parseMachine } = await machineFileReader();
  const name = 'machines/dram-4cxl.yaml';
  const file = parseMachine(readFileSync(name, 'utf8'), name);
  const machine = expanderMachine();
  expect(machine.nodes).toHaveLength(file.nodes.length);
  for (const { nid, perf, cpus } of machine.nodes) {
    const published = file.nodes[nid];
    expect(cpus).toHaveLength(published.cpus.length);
    const others = { mixBandwidth: 0, writeBandwidth: 0 };
    expect({ ...perf, ...others }).toEqual({ ...published.perf, ...others });
    expect(perf.writeBandwidth).toBeCloseTo(published.perf.writeBandwidth, 9);
    for (const [i, share] of perf.mixBandwidth.entries()) {
      expect(share).toBeCloseTo(published.perf.mixBandwidth[i], 3);
    }
  }
});
