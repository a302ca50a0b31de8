/**
 * System calls: the door of programs into the kernel. The only door of syscalls/.
 * A call is a function (kernel, calling task, arguments in bytes and flags) that returns what Linux
 * returns: a value, or a negative errno.
 */
export * from './addressRange.ts';
export * from './brk.ts';
export * from './directIo.ts';
export * from './exit.ts';
export * from './fork.ts';
export * from './getMempolicy.ts';
export * from './ioUring.ts';
export * from './madvise.ts';
export * from './mbind.ts';
export * from './migratePages.ts';
export * from './mlock.ts';
export * from './mmap.ts';
export * from './moveBatches.ts';
export * from './movePages.ts';
export * from './movePhysPages.ts';
export * from './movePhysPages2.ts';
export * from './mprotect.ts';
export * from './mremap.ts';
export * from './munmap.ts';
export * from './physicalPage.ts';
export * from './registerBuffers.ts';
export * from './setMempolicy.ts';
export * from './setMempolicyHomeNode.ts';
export { memsAllowedOf } from './targetTask.ts';
export * from './userMemory.ts';
export * from './vmsplice.ts';
