/**
 * The same device memory as private pages and as what other devices reach: two pages whose
 * lifetimes somebody must keep together, or one provider with ranges. Random use, four schemes.
 * D10, DM-90..DM-92.
 */
import { PEER_SCHEMES, type PeerScheme } from '../drivers/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import type { FigureReader } from './figureReader.ts';
import type { Cell, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { peerTrial } from './peerTrial.ts';

const TEXTS: Readonly<Record<PeerScheme, string>> = {
  unsynced: 'two pages that know nothing of each other',
  'freed-last': 'two pages, the memory is free when both are',
  'one-count': 'two pages, the peer holds a reference of the private one',
  ranges: 'one page; the peer has a range that is revoked when the page goes',
};

function measure({ knobs, seed }: LabRun): Measurement {
  const steps = numberOf(knobs, 'steps');
  const data: Record<string, Record<string, number>> = {};
  const rows = PEER_SCHEMES.map((scheme): Cell[] => {
    const { leaks, ...found } = peerTrial(scheme, seed, steps);
    data[scheme] = { ...found, leaks: leaks.length };
    const { stores, corrupted, lost, failedAccesses, mappedAgain, refused } = found;
    return [scheme, stores, corrupted, lost, failedAccesses, mappedAgain, refused, leaks.length];
  });
  const names = [
    'DMA stores',
    'corrupted',
    'lost',
    'SIGBUS',
    'mapped again',
    'process gone',
    'leaks',
  ];
  const figure = {
    id: 'schemes',
    title: `${steps} random steps of three processes, a device and its peer`,
    columns: [{ name: 'scheme', unit: '' }, ...names.map((name) => ({ name, unit: '' }))],
    rows,
    drawing: { kind: 'none' } as const,
  };
  return { figures: [figure], published: [], data };
}

function number(figures: FigureReader, scheme: PeerScheme, column: string): number {
  return figures.number('schemes', [scheme], column);
}

/** Neither corrupts, loses nor fails an access, and leaks nothing. */
function isSound(figures: FigureReader, scheme: PeerScheme): boolean {
  return ['corrupted', 'lost', 'SIGBUS', 'leaks'].every((column) => {
    return number(figures, scheme, column) === 0;
  });
}

function twoPagesAreFraught(figures: FigureReader): Finding {
  const corrupted = number(figures, 'unsynced', 'corrupted');
  const lost = number(figures, 'freed-last', 'lost');
  const failed = number(figures, 'one-count', 'SIGBUS');
  return {
    support: corrupted > 0 && lost > 0 && failed > 0 ? 'supported' : 'partly',
    because:
      `unsynced, ${corrupted} pages show another page’s DMA; freed together, ${lost} stores go ` +
      `where the data no longer is; counted together, ${failed} CPU accesses fail`,
  };
}

function rangesDo(figures: FigureReader): Finding {
  const again = number(figures, 'ranges', 'mapped again');
  const stores = number(figures, 'ranges', 'DMA stores');
  return {
    support: isSound(figures, 'ranges') ? 'supported' : 'not supported',
    because: isSound(figures, 'ranges')
      ? `nothing is lost or corrupted; for ${again} of ${stores} stores the peer had to map again`
      : 'with ranges, too, bytes are lost, corrupted or out of reach',
  };
}

export const twoPagesOrOne: Lab = {
  name: 'two-pages-or-one',
  question: 'May the same device memory have a private page and one for peer-to-peer DMA?',
  thread: 'future-of-zone-device-2025',
  missions: ['D10', 'F4'],
  rules: ['DM-90', 'DM-91', 'DM-92'],
  experimental: ['device_peer_ranges'],
  knobs: [
    integerKnob(
      'steps',
      20000,
      1,
      200000,
      'steps',
      'accesses, mappings, ends of processes, at random',
    ),
  ],
  setup: () => [
    'Three processes with 32 pages each use an accelerator with private memory.',
    'A peer maps pages there and writes to them; whose range was revoked asks for a new one first.',
    'CPUs read and write the same pages, which brings them home; processes end and others begin.',
    ...PEER_SCHEMES.map((scheme) => `${scheme}: ${TEXTS[scheme]}.`),
    'Peer access to private memory is experimental (device_peer_ranges): Linux has none.',
  ],
  measure,
  verdict: (figures) => {
    const sound = PEER_SCHEMES.filter((scheme) => isSound(figures, scheme));
    const unsound = PEER_SCHEMES.filter((scheme) => !sound.includes(scheme));
    const right = sound.length === 0 ? 'No scheme keeps' : `Only ${sound.join(' and ')} keeps`;
    const wrong = unsound.join(', ');
    const again = number(figures, 'ranges', 'mapped again');
    const price = sound.includes('ranges')
      ? ` Ranges have the peer map again for ${again} of ` +
        `${number(figures, 'ranges', 'DMA stores')} stores.`
      : '';
    return `${right} every byte where it belongs and every access alive; not so ${wrong}.${price}`;
  },
  positions: [
    {
      who: 'Popple (2025)',
      says: 'two pages for one piece of memory are fraught: their lifetimes must be kept in sync',
      judge: twoPagesAreFraught,
    },
    {
      who: 'Gunthorpe (2025)',
      says: 'DMA of peers should need no page: then the provider’s ranges are enough',
      judge: rangesDo,
    },
  ],
  notModelled: [
    'Who waits instead of failing: a CPU fault that meets a held page ends in SIGBUS at once.',
    'The time between revocation and the peer’s next mapping.',
  ],
};
