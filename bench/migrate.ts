/**
 * Migration through the whole engine: move_pages(2) of 4 KiB pages (and of huge pages) between two
 * nodes, argument checks, isolation, unmap, copy of state, remap, freeing and LRU included.
 *
 * Against the rate of a real kernel: 3.31 GB/s of 4 KiB pages on a two-socket Zen 3, Linux 7.1-rc1
 * (lkml 2605.1/00684) = 808,000 pages/s. That kernel also copied the bytes; the model does not.
 */
import { PAGE_SIZE } from '../src/base/units.ts';
import { accessPage, Kernel, mmapRegion } from '../src/mm/index.ts';
import { plainMachine } from '../src/mm/plainMachine.ts';
import { movePages, UserAddresses, UserInts } from '../src/syscalls/index.ts';
import { MPOL_MF_MOVE } from '../src/uapi/mempolicy.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../src/uapi/zone.ts';
import { type Figure, figure } from './support/figure.ts';

const PAGES = 1 << 17;
const ROUNDS = 8;
const REAL_KERNEL_PAGES_PER_S = 808_000;

/** Pages per second of moving `PAGES` pages there and back, fastest round. */
function rate(huge: boolean): number {
  const zone = { zone: ZONE_NORMAL, pages: PAGES * 2 } as const;
  const spec = plainMachine([
    { cpus: [0], zones: [zone] },
    { cpus: [], zones: [zone] },
  ]);
  const machine = { ...spec, sysctl: { thp_enabled: huge ? 'always' : 'never' } as const };
  const k = new Kernel(machine, { seed: 1, trackContent: false });
  const task = k.spawn(null, 0);
  const start = mmapRegion(k, task.mm!, {
    addr: 2 ** 30,
    pages: PAGES,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    file: null,
    pgoff: 0,
  });
  for (let i = 0; i < PAGES; i++) accessPage(k, task, start + i, true);
  const step = huge ? 512 : 1;
  const count = PAGES / step;
  const addresses = new Float64Array(count);
  for (let i = 0; i < count; i++) addresses[i] = (start + i * step) * PAGE_SIZE;
  const nodes = new Int32Array(count);
  const status = new Int32Array(count);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    nodes.fill(round % 2 === 0 ? 1 : 0);
    const from = performance.now();
    const left = movePages(
      k,
      task,
      0,
      count,
      new UserAddresses(addresses),
      new UserInts(nodes),
      new UserInts(status),
      MPOL_MF_MOVE,
    );
    best = Math.min(best, (performance.now() - from) / 1000);
    if (left !== 0 || status[count - 1] !== nodes[0]) throw new Error(`move_pages: ${left}`);
  }
  return PAGES / best;
}

export async function* figures(): AsyncIterable<Figure> {
  const real = { what: 'real kernel, published', value: REAL_KERNEL_PAGES_PER_S };
  yield figure('migrate/4KiB-pages', rate(false), 'pages/s', real);
  const realHuge = { what: 'real kernel, published', value: 11.02e9 / PAGE_SIZE };
  yield figure('migrate/2MiB-folios', rate(true), 'pages/s', realHuge);
}
