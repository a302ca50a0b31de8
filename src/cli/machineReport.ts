/**
 * What `hetmem machine` prints: a machine as text or as data, and tables of its validation.
 */

import { PAGE_SIZE } from '../base/units.ts';
import {
  abstractDistance,
  accessCoordinates,
  cpuNids,
  curveFactor,
  demotionTargets,
  fallbackOrders,
  formatBandwidth,
  formatDuration,
  formatSize,
  interleaveWeights,
  isValid,
  type MachineSpec,
  memoryNids,
  memoryTiers,
  NODE_PRESETS,
  nodeManagedBytes,
  nodePresentPages,
  nodesCapable,
  rangeList,
  toptierNodes,
  type ValidationRow,
  validateFormulas,
  validateModel,
  validatePublished,
  zonePresentPages,
} from '../hw/index.ts';
import { ZONE_NAMES } from '../uapi/index.ts';
import { paint } from './paint.ts';
import { type Cell, type Column, formatTable } from './table.ts';

/** A machine in one line. */
export function summaryOf(spec: MachineSpec) {
  const count = (kind: string) => spec.nodes.filter((node) => node.kind === kind);
  const nodes = ['dram', 'hbm', 'cxl', 'pmem']
    .map((kind) => ({ kind, nodes: count(kind) }))
    .filter((group) => group.nodes.length > 0)
    .map(({ kind, nodes }) => {
      const bytes = nodes.reduce((sum, node) => sum + nodePresentPages(node) * PAGE_SIZE, 0);
      return `${nodes.length} ${kind} ${formatSize(bytes)}`;
    })
    .join(', ');
  return { name: spec.name, nodes, description: spec.description ?? '' };
}

/** A machine with everything that follows from it. */
export function machineDetails(spec: MachineSpec) {
  const memory = memoryNids(spec);
  return {
    ...spec,
    paths: cpuNids(spec).flatMap((cpuNid) =>
      memory.map((nid) => ({ cpuNid, nid, ...accessCoordinates(spec, cpuNid, nid) })),
    ),
    abstractDistance: [...abstractDistance(spec)],
    memoryTiers: [...memoryTiers(spec)],
    toptier: [...toptierNodes(spec)].map((flag) => flag === 1),
    demotionTargets: demotionTargets(spec),
    fallbackOrder: fallbackOrders(spec),
    effectiveInterleaveWeights: [...interleaveWeights(spec)],
  };
}

function section(title: string, columns: readonly Column[], rows: readonly Cell[][]): string {
  return `\n${paint('bold', title)}\n${formatTable(columns, rows, { colour: false })}`;
}

function right(title: string): Column {
  return { title, align: 'right' };
}

export function machineText(spec: MachineSpec): string {
  const { pages } = spec.swap;
  const swap = pages === 0 ? 'no swap' : `swap ${formatSize(pages * PAGE_SIZE)}`;
  const vdso = spec.vdso ? '' : ', no vdso';
  const parts = [
    `${paint('bold', spec.name)}: ${spec.description ?? summaryOf(spec).nodes}\n`,
    `Linux ${spec.kernel}, ${swap}${vdso}${sysctlText(spec)}\n`,
    nodeSection(spec),
    capabilitySection(spec),
    zoneSection(spec),
    pathSection(spec),
    loadSection(spec),
    linkSection(spec),
    distanceSection(spec),
    tierSection(spec),
    ...sourceLines(spec),
  ];
  return parts.join('');
}

/** Where the figures are from; nothing of a machine that does not say. */
function sourceLines({ sources }: MachineSpec): string[] {
  if (sources.length === 0) return [];
  return [`\n${paint('bold', 'Sources')}\n`, ...sources.map((source) => `  ${source}\n`)];
}

function sysctlText(spec: MachineSpec): string {
  return Object.entries(spec.sysctl)
    .map(([name, value]) => `, ${name} ${value}`)
    .join('');
}

function nodeSection(spec: MachineSpec): string {
  const columns = [
    right('node'),
    { title: 'kind' },
    { title: 'CPUs' },
    right('memory'),
    { title: 'what it is' },
  ];
  const rows = spec.nodes.map((node) => [
    node.nid,
    node.hotplugged ? `${node.kind}, hotplugged` : node.kind,
    rangeList(node.cpus) || '–',
    formatSize(nodeManagedBytes(node)),
    node.costPerGib > 0 ? `${node.role}, ${node.costPerGib} a GiB` : node.role,
  ]);
  return section('Nodes', columns, rows);
}

/** Of device memory nodes: what the kernel may do with them (docs/model/device-nodes.md). */
function capabilitySection(spec: MachineSpec): string {
  const rows = spec.nodes.flatMap(({ nid, capabilities }) => {
    if (capabilities === undefined) return [];
    const preset = NODE_PRESETS.find((one) => one.capabilities.join() === capabilities.join());
    return [[nid, preset?.name ?? '–', capabilities.join(', ') || 'nothing']];
  });
  if (rows.length === 0) return '';
  const columns = [right('node'), { title: 'preset' }, { title: 'the kernel may' }];
  return section('Device memory nodes', columns, rows);
}

function zoneSection(spec: MachineSpec): string {
  const columns = [
    right('node'),
    { title: 'zone' },
    right('start pfn'),
    right('end pfn'),
    right('present'),
    right('reserved'),
  ];
  const rows = spec.nodes.flatMap((node) =>
    node.zones.map((zone) => [
      node.nid,
      ZONE_NAMES[zone.zone],
      zone.startPfn,
      zone.endPfn,
      formatSize(zonePresentPages(zone) * PAGE_SIZE),
      zone.reservedPages === 0 ? '–' : formatSize(zone.reservedPages * PAGE_SIZE),
    ]),
  );
  return section('Zones', columns, rows);
}

function pathSection(spec: MachineSpec): string {
  const columns = [
    right('CPUs of'),
    right('memory of'),
    right('read'),
    right('write'),
    right('read peak'),
    right('write peak'),
    right('over local'),
  ];
  const rows = cpuNids(spec).flatMap((cpuNid) =>
    memoryNids(spec).map((nid) => {
      const path = accessCoordinates(spec, cpuNid, nid);
      const localNs = accessCoordinates(spec, cpuNid, cpuNid).readLatencyNs;
      return [
        cpuNid,
        nid,
        formatDuration(path.readLatencyNs),
        formatDuration(path.writeLatencyNs),
        formatBandwidth(path.readBandwidth),
        formatBandwidth(path.writeBandwidth),
        localNs > 0 ? `${(path.readLatencyNs / localNs).toFixed(2)} x` : '–',
      ];
    }),
  );
  return section('Unloaded latency and sustained bandwidth', columns, rows);
}

/** Read latency from the nearest CPUs at rising load. */
function loadSection(spec: MachineSpec): string {
  const loads = [0, 0.5, 0.75, 0.9, 1];
  const columns = [
    right('node'),
    ...loads.map((load) => right(`${load * 100} % load`)),
    right('reads'),
    right('3:1'),
    right('1:1'),
    right('writes'),
  ];
  const rows = memoryNids(spec).map((nid) => {
    const { perf } = spec.nodes[nid]!;
    const [writes, , half, reads3, reads] = perf.mixBandwidth;
    return [
      nid,
      ...loads.map((load) => formatDuration(perf.readLatencyNs * curveFactor(perf.curve, load))),
      ...[reads, reads3, half, writes].map((x) => formatBandwidth(perf.readBandwidth * x)),
    ];
  });
  return section(
    'Loaded read latency, and sustained peak by mix of reads and writes',
    columns,
    rows,
  );
}

function linkSection(spec: MachineSpec): string {
  if (spec.links.length === 0) return '';
  const columns = [
    { title: 'link' },
    { title: 'CPUs of' },
    { title: 'memory of' },
    right('adds'),
    right('read'),
    right('write'),
  ];
  const rows = spec.links.map((link) => [
    link.name,
    link.from.join(','),
    link.to.join(','),
    formatDuration(link.latencyNs),
    formatBandwidth(link.readBandwidth),
    formatBandwidth(link.writeBandwidth),
  ]);
  return section('Links', columns, rows);
}

function distanceSection(spec: MachineSpec): string {
  const columns = [right('from'), ...spec.nodes.map((node) => right(`to ${node.nid}`))];
  const rows = spec.nodes.map((node) => [node.nid, ...spec.distance[node.nid]!]);
  return section('Distances', columns, rows);
}

function tierSection(spec: MachineSpec): string {
  const tiers = memoryTiers(spec);
  const adist = abstractDistance(spec);
  const toptier = toptierNodes(spec);
  const targets = demotionTargets(spec);
  const weights = interleaveWeights(spec);
  const memory = memoryNids(spec);
  const orders = fallbackOrders(spec);
  const capable = nodesCapable(spec.nodes);
  const among = (nids: readonly number[], mask: number) => {
    return nids.filter((other) => (mask & (1 << other)) !== 0);
  };
  const columns = [
    right('node'),
    right('tier'),
    right('adist'),
    { title: 'toptier' },
    { title: 'demotes to' },
    { title: 'then' },
    { title: 'allocation falls back to' },
    right('weight'),
  ];
  const rows = memory.map((nid) => {
    // What reclaim leaves alone demotes nothing.
    const mask = (capable.reclaim & (1 << nid)) === 0 ? 0 : capable.demotion_target;
    const preferred = among(targets[nid]!.preferred, mask);
    const fallback = among(targets[nid]!.fallback, mask);
    const rest = fallback.filter((other) => !preferred.includes(other));
    return [
      nid,
      tiers[nid]!,
      adist[nid]!,
      toptier[nid] === 1 ? 'yes' : 'no',
      preferred.join(',') || '–',
      rest.join(',') || '–',
      among(orders[nid]!.slice(1), capable.fallback).join(', ') || '–',
      weights[nid]!,
    ];
  });
  return section('Memory tiers, demotion, fallback, interleave weights', columns, rows);
}

export interface ValidationGroup {
  readonly title: string;
  readonly rows: readonly (ValidationRow & { readonly isValid: boolean })[];
}

/** Rows by machine; with `isComplete` also those that belong to no machine. */
export function validationOf(specs: readonly MachineSpec[], isComplete: boolean) {
  const groups: ValidationGroup[] = [];
  const add = (title: string, rows: readonly ValidationRow[]) => {
    if (rows.length === 0) return;
    groups.push({ title, rows: rows.map((row) => ({ ...row, isValid: isValid(row) })) });
  };
  for (const spec of specs) {
    add(`${spec.name}: closed formulas`, validateFormulas(spec));
    add(`${spec.name}: published measurements`, validatePublished(spec));
  }
  const base = specs.find((spec) => spec.name === 'dram-cxl-asic');
  if (isComplete && base !== undefined) add('No machine in particular', validateModel(base));
  return groups;
}

export function validationText(groups: readonly ValidationGroup[]): string {
  const columns = [
    { title: 'what' },
    right('expected'),
    right('model'),
    { title: '' },
    right('deviation'),
    right('bound'),
    { title: 'source' },
  ];
  const tables = groups.map(({ title, rows }) => {
    const cells = rows.map((row) => [
      row.what,
      number(row.expected),
      number(row.model),
      row.unit,
      deviationText(row.deviationPercent),
      `${row.boundPercent} %${row.isValid ? '' : ' EXCEEDED'}`,
      row.source,
    ]);
    return section(title, columns, cells);
  });
  const all = groups.flatMap((group) => group.rows);
  const failed = all.filter((row) => !row.isValid).length;
  const verdict =
    failed === 0
      ? `All ${all.length} comparisons are within their bounds.`
      : `${failed} of ${all.length} comparisons exceed their bounds.`;
  return `${tables.join('').replace(/^\n/, '')}\n${verdict}\n`;
}

function deviationText(percent: number): string {
  const size = Math.abs(percent).toFixed(2);
  if (size === '0.00') return '0.00 %';
  return `${percent > 0 ? '+' : '−'}${size} %`;
}

/** Four significant digits. */
function number(value: number): string {
  return String(Number(value.toPrecision(4)));
}
