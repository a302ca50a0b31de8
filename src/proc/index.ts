/** Files of /proc and /sys in the kernel's own layout, and their parsers. The only door of proc/. */
export * from './buddyinfo.ts';
export * from './meminfo.ts';
export * from './vmstatFile.ts';
export * from './vmstatItems.ts';
export * from './zoneinfo.ts';
