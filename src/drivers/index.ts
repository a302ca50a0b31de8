/** Drivers: the door of devices into the modelled kernel. */
export * from './balloon.ts';
export * from './dmirror.ts';
export * from './dmirrorDevice.ts';
export * from './zsmalloc.ts';
