import { describe, expect, it } from 'vitest';
import { Kernel } from '../mm/index.ts';
import { plainMachine } from '../mm/plainMachine.ts';
import { EINVAL, ERANGE } from '../uapi/errno.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { Cgroups } from './cgroups.ts';

function machine(cpus: readonly number[]) {
  const zones = [{ zone: ZONE_NORMAL, pages: 32768 }];
  const k = new Kernel(plainMachine([{ cpus: [...cpus], zones }]), {
    seed: 1,
    trackContent: false,
  });
  const cgroups = new Cgroups(k, false);
  const task = k.spawn(null, 0);
  cgroups.create('g');
  return {
    write: (value: string) => cgroups.write('g', 'cpuset.cpus', value, task, 'test'),
    effective: () => cgroups.read('g', 'cpuset.cpus.effective', 'test'),
  };
}

describe('cpuset.cpus', () => {
  it('tells CPUs beyond 31 apart', () => {
    const { write, effective } = machine(Array.from({ length: 64 }, (_, cpu) => cpu));
    expect(effective()).toBe('0-63');
    expect(write('32')).toBe(0);
    expect(effective()).toBe('32');
    expect(write('0-63:1/32')).toBe(0);
    expect(effective()).toBe('0,32');
    expect(write('64')).toBe(-ERANGE);
    expect(effective()).toBe('0,32');
  });

  it('knows those that may be and are not from those that cannot be', () => {
    const { write } = machine([0, 1, 4]);
    expect(write('0-1,4')).toBe(0);
    expect(write('2')).toBe(-EINVAL);
    expect(write('5')).toBe(-ERANGE);
  });
});
