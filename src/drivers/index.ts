/** Drivers: the door of devices into the modelled kernel. */
export * from './accelerator.ts';
export * from './acceleratorContext.ts';
export * from './balloon.ts';
export * from './coherentAccelerator.ts';
export * from './copyEngine.ts';
export * from './deviceCopy.ts';
export * from './devicePages.ts';
export * from './dmirror.ts';
export * from './dmirrorDevice.ts';
export * from './fsDax.ts';
export * from './mirrorRange.ts';
export * from './movedPages.ts';
export * from './p2pdma.ts';
export * from './placement.ts';
export * from './privateAccelerator.ts';
export * from './skeleton.ts';
export * from './zsmalloc.ts';
