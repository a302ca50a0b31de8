import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from './clock.ts';
import { type EventHandler, EventQueue } from './eventQueue.ts';

/** A queue whose events write `name@time` to `log`. */
function machine() {
  const queue = new EventQueue(new VirtualClock());
  const log: string[] = [];
  const named = (name: string): EventHandler => ({
    onEvent: (nowNs, arg) => log.push(`${name}${arg === 0 ? '' : arg}@${nowNs}`),
  });
  return { queue, log, named };
}

describe('EventQueue', () => {
  it('fires by time, and at the same time in the order of scheduling', () => {
    const { queue, log, named } = machine();
    queue.schedule(20, named('c'));
    queue.schedule(10, named('a'));
    queue.schedule(20, named('d'));
    queue.schedule(10, named('b'));
    expect(queue.runUntil(100)).toBe(4);
    expect(log).toEqual(['a@10', 'b@10', 'c@20', 'd@20']);
    expect(queue.clock.nowNs).toBe(100);
  });

  it('fires up to and including the limit', () => {
    const { queue, log, named } = machine();
    queue.schedule(10, named('a'));
    queue.schedule(11, named('b'));
    queue.runUntil(10);
    expect(log).toEqual(['a@10']);
    expect([queue.nextNs, queue.length]).toEqual([11, 1]);
  });

  it('puts an event scheduled for now behind those already due', () => {
    const { queue, log, named } = machine();
    const late = named('late');
    queue.schedule(10, { onEvent: () => queue.scheduleAfter(0, late) });
    queue.schedule(10, named('due'));
    queue.runUntil(10);
    expect(log).toEqual(['due@10', 'late@10']);
  });

  it('hands the argument to the handler, and reuses slots without mixing events up', () => {
    const { queue, log, named } = machine();
    const tick: EventHandler = {
      onEvent: (nowNs, arg) => {
        log.push(`tick${arg}@${nowNs}`);
        if (arg < 3) queue.scheduleAfter(5, tick, arg + 1);
      },
    };
    queue.schedule(5, tick, 1);
    queue.schedule(10, named('other'), 7);
    queue.runUntil(1000);
    expect(log).toEqual(['tick1@5', 'other7@10', 'tick2@10', 'tick3@15']);
  });

  it('never fires a cancelled event, and says whether there was one to cancel', () => {
    const { queue, log, named } = machine();
    const first = queue.schedule(10, named('a'));
    const second = queue.schedule(10, named('b'));
    expect([queue.cancel(first), queue.cancel(first), queue.cancel(999)]).toEqual([
      true,
      false,
      false,
    ]);
    expect([queue.length, queue.nextNs]).toEqual([1, 10]);
    queue.runUntil(10);
    expect(log).toEqual(['b@10']);
    expect(queue.cancel(second)).toBe(false);
    expect([queue.step(), queue.nextNs]).toEqual([false, Infinity]);
  });

  it('does not let an old id cancel the event that took its place', () => {
    const { queue, log, named } = machine();
    const old = queue.schedule(10, named('old'));
    queue.runUntil(10);
    queue.schedule(20, named('new'));
    expect(queue.cancel(old)).toBe(false);
    queue.runUntil(20);
    expect(log).toEqual(['old@10', 'new@20']);
  });

  it('refuses the past and fractions of a nanosecond', () => {
    const { queue, named } = machine();
    queue.runUntil(10);
    expect(() => queue.schedule(9, named('a'))).toThrow('before now');
    expect(() => queue.schedule(10.5, named('a'))).toThrow('10.5');
    expect(() => queue.clock.advanceTo(9)).toThrow('time went back');
  });

  it('agrees with a sorted list for any schedule and cancel', () => {
    const operation = fc.record({ atNs: fc.nat(6), cancels: fc.option(fc.nat(20), { freq: 2 }) });
    fc.assert(
      fc.property(fc.array(operation), (operations) => {
        const { queue, log, named } = machine();
        let model: { name: string; atNs: number; id: number }[] = [];
        operations.forEach(({ atNs, cancels }, i) => {
          model.push({ name: `e${i}`, atNs, id: queue.schedule(atNs, named(`e${i}`)) });
          const victim = cancels === null ? undefined : model[cancels];
          if (victim !== undefined) expect(queue.cancel(victim.id)).toBe(true);
          model = model.filter((event) => event !== victim);
        });
        expect(queue.length).toBe(model.length);
        queue.runUntil(6);
        const expected = model.sort((a, b) => a.atNs - b.atNs || a.id - b.id);
        expect(log).toEqual(expected.map(({ name, atNs }) => `${name}@${atNs}`));
      }),
    );
  });
});
