/**
 * A modelled kernel as bytes and back (the body of a saved state; stateFile.ts is the file around
 * it). What comes back is a live kernel: the same operations have the same results on both.
 *
 * Order: whether contents are kept, room for device memory and the machine, from which a kernel
 * boots; then the kernel,
 * read onto the booted one.
 * Not saved: what watches or drives the kernel from outside (Kernel.onMigrated, drivers' hooks,
 * events of a simulation that are still to come).
 */
import type { MachineSpec } from '../hw/index.ts';
import { Kernel } from '../mm/index.ts';
import { ByteReader } from '../trace/index.ts';
import { KERNEL_CLASSES } from './classes.ts';
import { GraphReader } from './graphReader.ts';
import { GraphWriter } from './graphWriter.ts';

/**
 * A kernel and what its user wants to find again beside it: plain values, objects of the kernel.
 */
export interface KernelState {
  readonly k: Kernel;
  readonly attached: unknown;
}

/** Preconditions: between two operations. The bytes depend on nothing but the state. */
export function encodeKernel({ k, attached }: KernelState): Uint8Array {
  const writer = new GraphWriter(KERNEL_CLASSES);
  writer.write(k.frames.content !== null);
  writer.write(k.frames.spareSections);
  writer.write(k.spec);
  writer.write(k);
  writer.write(attached);
  return writer.out.view();
}

/** Errors: OutOfBytes when these are no bytes of encodeKernel. */
export function decodeKernel(bytes: Uint8Array): KernelState {
  const reader = new GraphReader(new ByteReader(bytes), KERNEL_CLASSES);
  const trackContent = reader.read(null) === true;
  const deviceSections = reader.read(null) as number;
  const spec = reader.read(null) as MachineSpec;
  const booted = new Kernel(spec, { seed: 0, trackContent, deviceSections });
  const k = reader.read(booted) as Kernel;
  return { k, attached: reader.read(null) };
}
