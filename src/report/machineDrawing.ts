/**
 * The machine as a picture: CPUs to the left, each memory node at the end of its path. The farther
 * to the right, the later it answers; the thicker the path, the more it carries.
 */
import {
  formatBandwidth,
  formatBytes,
  formatNs,
  type MachinePicture,
  type PicturedNode,
} from '../experiment/index.ts';
import { type Content, element, html, type Markup } from './html.ts';
import { shadeOfNode } from './palette.ts';

const WIDTH = 384;
const ROW = 68;
const CPU_WIDTH = 88;
const BOX_WIDTH = 132;
const BOX_HEIGHT = 50;
/** Where the nearest and the farthest memory stand. */
const NEAR = CPU_WIDTH + 70;
const FAR = WIDTH - BOX_WIDTH - 1;
const THICKEST = 13;

/** `isSized`: ratios decide how large its memory is, not the machine file. */
export function machineDrawing(machine: MachinePicture, isSized: boolean): Markup {
  const nodes = machine.nodes.filter(({ sizeBytes }) => sizeBytes > 0);
  const height = nodes.length * ROW;
  const text = describeMachine(machine, nodes);
  return element(
    'svg',
    {
      class: 'machine',
      role: 'img',
      'aria-label': text,
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
    },
    html`<title>${text}</title>`,
    cpus(machine, height),
    nodes.map((node, i) => memory(node, i, nodes, isSized)),
  );
}

function cpus(machine: MachinePicture, height: number): Markup[] {
  const nrCpus = machine.nodes.reduce((sum, node) => sum + node.nrCpus, 0);
  const nrNodes = machine.nodes.filter((node) => node.nrCpus > 0).length;
  const middle = CPU_WIDTH / 2;
  return [
    element('rect', {
      class: 'box cpu',
      x: 1,
      y: 6,
      width: CPU_WIDTH - 2,
      height: height - 12,
      rx: 6,
    }),
    label('strong', middle, height / 2 - 2, `${nrCpus} CPUs`, 'middle'),
    label(
      'small',
      middle,
      height / 2 + 14,
      nrNodes === 1 ? '1 node' : `${nrNodes} nodes`,
      'middle',
    ),
  ];
}

function label(kind: string, x: number, y: number, text: Content, anchor = 'start'): Markup {
  return element('text', { class: kind, x, y, 'text-anchor': anchor }, text);
}

function memory(
  node: PicturedNode,
  row: number,
  nodes: readonly PicturedNode[],
  isSized: boolean,
): Markup[] {
  const x = placeOf(node, nodes);
  const y = row * ROW + ROW / 2;
  const shade = `p-${shadeOfNode(nodes, node.nid)}`;
  const widest = Math.max(...nodes.map(({ readBandwidth }) => readBandwidth));
  const thickness = Math.max(1.5, THICKEST * Math.sqrt(node.readBandwidth / Math.max(1, widest)));
  const box = { x, y: y - BOX_HEIGHT / 2, width: BOX_WIDTH, height: BOX_HEIGHT, rx: 6 };
  const name = html`${node.kind.toUpperCase()}<tspan class="small" dx="6">node ${node.nid}</tspan>`;
  return [
    element('line', {
      class: `path ${shade}`,
      x1: CPU_WIDTH - 1,
      x2: x,
      y1: y,
      y2: y,
      'stroke-width': thickness.toFixed(1),
    }),
    label('small', CPU_WIDTH + 5, y - THICKEST / 2 - 4, formatNs(node.readLatencyNs)),
    label('small', CPU_WIDTH + 5, y + THICKEST / 2 + 13, formatBandwidth(node.readBandwidth)),
    element('rect', { class: `box ${shade}`, ...box }),
    label('strong', x + 12, y - 4, name),
    label('small', x + 12, y + 14, isSized ? 'sized by ratio' : formatBytes(node.sizeBytes)),
  ];
}

/** Latencies from the least to the largest, spread over the free width. */
function placeOf(node: PicturedNode, nodes: readonly PicturedNode[]): number {
  const latencies = nodes.map(({ readLatencyNs }) => readLatencyNs);
  const [least, most] = [Math.min(...latencies), Math.max(...latencies)];
  if (most === least) return NEAR;
  return Math.round(NEAR + ((FAR - NEAR) * (node.readLatencyNs - least)) / (most - least));
}

function describeMachine(machine: MachinePicture, nodes: readonly PicturedNode[]): string {
  const parts = nodes.map(({ kind, nid, readLatencyNs, readBandwidth }) => {
    const reached = `at ${formatNs(readLatencyNs)} and ${formatBandwidth(readBandwidth)}`;
    return `${kind.toUpperCase()} node ${nid} ${reached}`;
  });
  return `${machine.name}: ${parts.join(', ')}`;
}

/** Each distinct machine of the comparison with its links and sources. */
export function machineSection(
  machines: readonly { readonly picture: MachinePicture; readonly ratio: string }[],
): Markup {
  const shown = machines.filter(({ picture }, i) => {
    return machines.findIndex((other) => other.picture.name === picture.name) === i;
  });
  return html`<section id="machine"><h2>${shown.length === 1 ? 'The machine' : 'The machines'}</h2>
${shown.map(({ picture }) => {
  const own = machines.filter((other) => other.picture.name === picture.name);
  return machineCard(
    picture,
    own.every(({ ratio }) => ratio !== ''),
  );
})}
</section>`;
}

function machineCard(picture: MachinePicture, isSized: boolean): Markup {
  const { name, kernel, nodes, links, sources } = picture;
  const how = `Linux ${kernel} modelled; farther is slower, thicker carries more`;
  const nodeItems = nodes.map(({ nid, kind, role }) => {
    const what = role === '' ? '' : `: ${role}`;
    return html`<li><strong>${kind.toUpperCase()}, node ${nid}</strong>${what}</li>`;
  });
  const paths = links.map((link) => {
    return `${link.name} (+${formatNs(link.latencyNs)}, ${formatBandwidth(link.readBandwidth)})`;
  });
  return html`<div class="machine-card"><figure>
<figcaption>${name} <span class="muted">· ${how}</span></figcaption>
${machineDrawing(picture, isSized)}
</figure>
<div class="machine-text">
<ul>${nodeItems}</ul>
${paths.length === 0 ? null : html`<p>Links: ${paths.join(', ')}.</p>`}
<h4>Where the numbers come from</h4>
<ul>${sources.map((source) => html`<li>${source}</li>`)}</ul>
</div></div>`;
}
