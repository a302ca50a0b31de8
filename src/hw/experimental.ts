/**
 * What Linux does not have, or not yet: features of the model that a machine file switches on by
 * name (`experimental:`). Off by default, and named among the sources of the machine, which every
 * report prints.
 */
export const EXPERIMENTAL_FEATURES = [
  // With device_page_cache: dirty file pages and shmem, too; writeback fetches the data (DM-86).
  'device_dirty_pages',
  // 512 small pages may come back from a device as one large page (DM-30, DM-64, DM-66).
  'device_merge_on_return',
  // Private device memory has PFNs of its own, outside the physical map (DM-80, DM-81).
  'device_offset_space',
  // Clean file pages may go to private device memory; a look-up brings them back (DM-85, DM-86).
  'device_page_cache',
  // Other devices reach private device memory without a detour (DM-91, DM-92).
  'device_peer_ranges',
  // A page that CPU and device fight over stays in system memory, for both to use (DM-64, DM-70).
  'device_shared_pages',
  // The driver splits a large page when it has bounced often enough (DM-64).
  'device_split_by_use',
] as const;
export type ExperimentalFeature = (typeof EXPERIMENTAL_FEATURES)[number];

/** As it stands among the sources of a machine. */
export function experimentalNote(features: readonly ExperimentalFeature[]): string {
  return `experimental, not in Linux: ${features.join(', ')}`;
}
