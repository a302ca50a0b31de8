import { describe, expect, it } from 'vitest';
import { VirtualClock } from './clock.ts';
import { Tracepoints } from './tracepoint.ts';

function machine() {
  const clock = new VirtualClock();
  const tracepoints = new Tracepoints(clock);
  const fault = tracepoints.define('hetmem:fault', ['pid', 'vpn']);
  return { clock, tracepoints, fault };
}

describe('Tracepoint', () => {
  it('is disabled until someone attaches and after the last one left', () => {
    const { fault } = machine();
    expect(fault.isEnabled).toBe(false);
    const detachFirst = fault.attach(() => {});
    const detachSecond = fault.attach(() => {});
    detachFirst();
    expect(fault.isEnabled).toBe(true);
    detachSecond();
    expect(fault.isEnabled).toBe(false);
  });

  it('tells listeners in the order in which they attached, with the time', () => {
    const { clock, fault } = machine();
    const heard: unknown[] = [];
    fault.attach((nowNs, values) => heard.push(['first', nowNs, ...values]));
    fault.attach((nowNs, values, { name }) => heard.push([name, nowNs, ...values]));
    clock.advanceTo(5);
    fault.emit(1, 100);
    expect(heard).toEqual([
      ['first', 5, 1, 100],
      ['hetmem:fault', 5, 1, 100],
    ]);
  });

  it('lets a listener detach itself without hiding the event from the others', () => {
    const { fault } = machine();
    const heard: string[] = [];
    const detach = fault.attach(() => {
      heard.push('once');
      detach();
    });
    fault.attach(() => heard.push('always'));
    fault.emit(1, 1);
    fault.emit(1, 1);
    expect(heard).toEqual(['once', 'always', 'always']);
  });
});

describe('Tracepoints', () => {
  it('finds by name and lists in the order of definition', () => {
    const { tracepoints, fault } = machine();
    tracepoints.define('migrate:mm_migrate_pages', ['succeeded']);
    expect(tracepoints.find('hetmem:fault')).toBe(fault);
    expect(tracepoints.find('hetmem:none')).toBeNull();
    expect(tracepoints.names()).toEqual(['hetmem:fault', 'migrate:mm_migrate_pages']);
  });

  it('refuses a second definition and names that are not system:event', () => {
    const { tracepoints } = machine();
    expect(() => tracepoints.define('hetmem:fault', [])).toThrow('defined already');
    expect(() => tracepoints.define('fault', [])).toThrow('system:event');
  });
});
