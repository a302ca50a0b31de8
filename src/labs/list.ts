/** The labs, in the order in which `hetmem lab --list` shows them. */

import { balloonSplit } from './balloonSplit.ts';
import { cma } from './cma.ts';
import { deviceAddresses } from './deviceAddresses.ts';
import { filesOnDevice } from './filesOnDevice.ts';
import { folioBounce } from './folioBounce.ts';
import { granularity } from './granularity.ts';
import { hmmThenAndNow } from './hmmThenAndNow.ts';
import type { Lab } from './lab.ts';
import { latencyOrBandwidth } from './latencyOrBandwidth.ts';
import { nearDevice } from './nearDevice.ts';
import { nodePresets } from './nodePresets.ts';
import { noRoomInMap } from './noRoomInMap.ts';
import { physicalToVirtual } from './physicalToVirtual.ts';
import { pinFailure } from './pinFailure.ts';
import { pinShare } from './pinShare.ts';
import { pinsAndDma } from './pinsAndDma.ts';
import { pinsVsThp } from './pinsVsThp.ts';
import { pinsVsUnplug } from './pinsVsUnplug.ts';
import { reviewersMachine } from './reviewersMachine.ts';
import { roundTrips } from './roundTrips.ts';
import { staleHeat } from './staleHeat.ts';
import { twoPagesOrOne } from './twoPagesOrOne.ts';
import { unmappedCache } from './unmappedCache.ts';
import { whoDecides } from './whoDecides.ts';
import { wholeOrSplit } from './wholeOrSplit.ts';
import { whoMayMove } from './whoMayMove.ts';

export const LABS: readonly Lab[] = [
  reviewersMachine,
  pinShare,
  pinsVsUnplug,
  pinsVsThp,
  pinsAndDma,
  pinFailure,
  cma,
  staleHeat,
  whoMayMove,
  physicalToVirtual,
  granularity,
  latencyOrBandwidth,
  nearDevice,
  deviceAddresses,
  unmappedCache,
  whoDecides,
  nodePresets,
  hmmThenAndNow,
  roundTrips,
  wholeOrSplit,
  noRoomInMap,
  folioBounce,
  twoPagesOrOne,
  balloonSplit,
  filesOnDevice,
];
