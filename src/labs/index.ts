/** Arguments of mailing-list threads as experiments on the model. The only door of labs/. */
export { barsOf, curvesOf, type Point, unitOf } from './drawnFigure.ts';
export { decimal, FigureReader } from './figureReader.ts';
export { GUIDANCE, guidanceDocument } from './guidanceDocument.ts';
export type {
  Cell,
  Drawing,
  Figure,
  FigureColumn,
  Finding,
  Lab,
  LabRun,
  Measurement,
  Part,
  Position,
  PublishedFigure,
  Shade,
  Support,
} from './lab.ts';
export { expanderMachine } from './latencyOrBandwidth.ts';
export { LABS } from './list.ts';
export { NODES_DOCUMENT, nodesDocument } from './nodesDocument.ts';
export {
  planZones,
  scaleOf,
  tryZones,
  type ZonesAsked,
  type ZonesPlan,
  type ZonesTrial,
} from './planZones.ts';
export { judged, type LabChoice, type LabResult, runLab } from './runLab.ts';
export { size as sizeText, zonesGuidance } from './zonesGuidance.ts';
