/** Every capability is one of its own; the lab's verdict follows its figures. */
import { describe, expect, it } from 'vitest';
import { NODE_CAPABILITIES, NODE_PRESETS } from '../hw/index.ts';
import { FigureReader } from './figureReader.ts';
import { nodePresets } from './nodePresets.ts';
import { NODE_PROBES, NodeStage } from './nodeProbes.ts';
import { runLab } from './runLab.ts';

describe('capabilities of a node (D6)', () => {
  it.each(NODE_CAPABILITIES)('without %s all the others still happen', (left) => {
    const capabilities = NODE_CAPABILITIES.filter((name) => name !== left);
    const missing = NODE_PROBES.filter((probe) => !probe.happens(new NodeStage(capabilities, 1)));
    expect(missing.map(({ capability }) => capability)).toEqual([left]);
  });

  it('DM-101, DM-106: without fallback, mbind gets there; nothing else does', () => {
    const stage = new NodeStage(['mempolicy'], 1);
    const start = stage.program.map(512);
    stage.program.touch(start, 512);
    expect(stage.onDevice(start, 512)).toBe(0);
  });
});

describe('node-presets', () => {
  it('finds for each preset what its mask says, without reading it', () => {
    const result = runLab(nodePresets, { seed: 1, settings: [] }, '');
    for (const { name, capabilities } of NODE_PRESETS) {
      const happening = NODE_CAPABILITIES.filter((one) => result.data[name][one] === 1);
      expect(happening).toEqual(NODE_CAPABILITIES.filter((one) => capabilities.includes(one)));
    }
  });

  it('its verdict and findings change with the figures', () => {
    const { figures } = runLab(nodePresets, { seed: 1, settings: [] }, '');
    const read = (fallback2016: string) => {
      const rows = figures[0].rows.map((row) => {
        return row[0] === 'fallback' ? [row[0], row[1], fallback2016, ...row.slice(3)] : row;
      });
      return new FigureReader([{ ...figures[0], rows }]);
    };
    expect(nodePresets.verdict(read('yes'))).not.toBe(nodePresets.verdict(read('-')));
    expect(nodePresets.positions[1].judge(read('-')).support).toBe('supported');
    expect(nodePresets.positions[1].judge(read('yes')).support).toBe('not supported');
  });
});
