/** Files of /proc and /sys in the kernel's layout, and their parsers. The only door of proc/. */

export * from './buddyinfo.ts';
export { DAMON_ROOT, writeDamonFile } from './damonFiles.ts';
export * from './fileTree.ts';
export * from './kernelFile.ts';
export * from './kpageFile.ts';
export * from './kpagegenFile.ts';
export * from './maps.ts';
export * from './meminfo.ts';
export * from './numaMaps.ts';
export * from './pageIdleFile.ts';
export * from './pagemapFile.ts';
export * from './processFile.ts';
export * from './smaps.ts';
export * from './statusFile.ts';
export * from './swaps.ts';
export * from './vmstatFile.ts';
export * from './vmstatItems.ts';
export * from './wordFile.ts';
export * from './zoneinfo.ts';
