/**
 * What an administrator should know of pins and ZONE_MOVABLE, in sentences made of a plan's own
 * trials: the text that the reviewers of 2020 asked for (PM-53), with the figures of the machine.
 */
import { decimal } from './figureReader.ts';
import type { ZonesPlan, ZonesTrial } from './planZones.ts';

/** Sentences, each by itself; the first ones matter most. */
export function zonesGuidance(plan: ZonesPlan): string[] {
  const { asked, movableMib, normalMib, trials, risks } = plan;
  const sentences: string[] = [];
  if (movableMib !== null && normalMib !== null) {
    const share = Math.round((100 * movableMib) / asked.memoryMib);
    sentences.push(
      `ZONE_MOVABLE may have ${size(movableMib)} of ${size(asked.memoryMib)} (${share} %); ` +
        `ZONE_NORMAL keeps ${size(normalMib)} for the kernel and everything pinned for long ` +
        '(RDMA, VFIO, io_uring fixed buffers).',
    );
  }
  const failed = trials.find(failsWithRoom);
  if (failed !== undefined) sentences.push(failedSentence(failed));
  const late = risks.find(({ pins }) => pins === 'late');
  if (late !== undefined) sentences.push(lateSentence(late));
  const answer = trials.find((trial) => trial.movableMib === movableMib);
  if (answer !== undefined && answer.migratedMib > 0) {
    const moved = `${size(answer.migratedMib)} of ${size(answer.pinnedMib)}`;
    sentences.push(`Pinning costs migrations: ${moved} had to leave ZONE_MOVABLE first.`);
  }
  if (answer !== undefined && answer.blocks > 0) sentences.push(unplugSentence(answer));
  return sentences;
}

/** Not all was pinned, though what is missing was free in ZONE_MOVABLE. */
function failsWithRoom({ pinnedMib, askedMib, freeMovableMib }: ZonesTrial): boolean {
  return pinnedMib > 0 && pinnedMib < askedMib && freeMovableMib >= askedMib - pinnedMib;
}

function failedSentence(trial: ZonesTrial): string {
  const got = `${size(trial.pinnedMib)} of ${size(trial.askedMib)}`;
  const free = size(trial.freeMovableMib);
  return (
    `A pin can fail with ${trial.ending} although much memory is free: with ` +
    `${size(trial.movableMib)} in ZONE_MOVABLE it ends after ${got}, while ${free} are free there.`
  );
}

function lateSentence(late: ZonesTrial): string {
  if (late.problem === '') return 'It makes no difference here whether pins come first or late.';
  const got = `${size(late.pinnedMib)} of ${size(late.askedMib)}`;
  return (
    `Pin before other programs fill the memory: of pins that come late ${got} succeed, because ` +
    'movable memory that overflowed into ZONE_NORMAL is in their way.'
  );
}

function unplugSentence({ blocks, removable }: ZonesTrial): string {
  return `${removable} of ${blocks} blocks of ZONE_MOVABLE can go offline with all pins held.`;
}

/** MiB below 8 GiB, else GiB. */
export function size(mib: number): string {
  return mib >= 8192 ? `${decimal(mib / 1024, 2)} GiB` : `${decimal(mib)} MiB`;
}
