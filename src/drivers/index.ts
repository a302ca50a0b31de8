/** Drivers of devices with memory. */
export * from './dmirror.ts';
export * from './dmirrorDevice.ts';
