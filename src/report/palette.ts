/**
 * Which colour means what. Blue is fast memory and orange slow memory, everywhere; parts of time
 * that are not memory have a colour of their own.
 *
 * The colours of the time parts were searched for with the largest least distance (OKLab) between
 * any two, as seen with normal sight, protanopia, deuteranopia and tritanopia (Machado 2009), at a
 * contrast of at least 3:1 with the page; computing is the grey that everything stands on. Colour
 * is never alone: parts are in a fixed order with gaps, and the numbers stand in a table.
 */

/** A colour by its name in the style sheet, for light and dark pages. */
export interface Shade {
  readonly light: string;
  readonly dark: string;
}

export const SHADES: Readonly<Record<string, Shade>> = {
  compute: { light: '#c1c3c6', dark: '#4e575d' },
  fast: { light: '#2b5fa0', dark: '#509efe' },
  slow: { light: '#d56d1a', dark: '#ed7723' },
  fault: { light: '#6c2354', dark: '#c36d9b' },
  migration: { light: '#3ea392', dark: '#85cdb5' },
  observation: { light: '#6e4e0f', dark: '#f0e45f' },
  // Free memory, in labs.
  free: { light: '#eceeef', dark: '#2a3036' },
  // Further nodes of the same speed, when there are several.
  fast1: { light: '#7a86d6', dark: '#a9b4ff' },
  fast2: { light: '#4b3f8f', dark: '#8577d6' },
  slow1: { light: '#8f3b12', dark: '#b9562a' },
  slow2: { light: '#e8a64c', dark: '#ffc37a' },
  slow3: { light: '#5e2a12', dark: '#8a4a26' },
};

/** Colours of pages in the heat map: they lie on light and dark pages as they are. */
const MAP_FAST = ['#2f78cf', '#7d6be0', '#3aa0c9'];
const MAP_SLOW = ['#e0761a', '#c2452f', '#c99a12', '#a0522d'];

/** What the colours need to know of a node. */
export interface NodeOfTier {
  readonly nid: number;
  readonly isToptier: boolean;
}

/** The name of a node's colour: by its place among the nodes of the same speed. */
export function shadeOfNode(nodes: readonly NodeOfTier[], nid: number): string {
  const { place, isToptier } = placeOf(nodes, nid);
  const last = isToptier ? 2 : 3;
  const suffix = place === 0 ? '' : String(((place - 1) % last) + 1);
  return `${isToptier ? 'fast' : 'slow'}${suffix}`;
}

/** Red, green, blue of a node in the heat map. */
export function mapColourOf(nodes: readonly NodeOfTier[], nid: number): readonly number[] {
  const { place, isToptier } = placeOf(nodes, nid);
  const colours = isToptier ? MAP_FAST : MAP_SLOW;
  const hex = colours[place % colours.length]!;
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

export function mapHexOf(nodes: readonly NodeOfTier[], nid: number): string {
  return `#${mapColourOf(nodes, nid)
    .map((value) => value.toString(16).padStart(2, '0'))
    .join('')}`;
}

function placeOf(nodes: readonly NodeOfTier[], nid: number) {
  const isToptier = nodes.find((node) => node.nid === nid)?.isToptier ?? false;
  const alike = nodes.filter((node) => node.isToptier === isToptier);
  const place = Math.max(
    0,
    alike.findIndex((node) => node.nid === nid),
  );
  return { place, isToptier };
}
