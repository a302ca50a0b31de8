/*
 * What the plugin knows of the recorded process: its threads, their clocks, filters and buffers.
 *
 * Order: address-space lock (held from entry to return of a call that changes mappings), then a
 * thread's buffer lock, then the stream's lock.
 */
#ifndef HETMEM_RECORDING_H
#define HETMEM_RECORDING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cacheFilter.h"

#define BUFFER_ACCESSES 4096 /* at most SLICE_ACCESSES_MAX of src/trace/source.ts */
#define THREADS_MAX 4096     /* at once, of one process */
#define LINE_SHIFT 6         /* addresses leave as 64-byte lines, whatever the filter's line is */

/* A system call between its entry and its return. */
typedef struct {
  uint64_t args[6];
} pendingCall;

typedef struct {
  cacheFilter filter;
  uint64_t clock;    /* instructions; written by translated code in serial mode */
  uint64_t accesses; /* loads and stores, hits included */
  uint64_t misses;
  uint64_t sliceStart; /* clock at the first access in `buffer` */
  uint32_t tid;        /* host tid, 0 until the thread has run */
  uint32_t creatorTid;
  bool alive;
  unsigned count; /* accesses in `buffer`, behind its two clock words */
  atomic_flag lock;
  pendingCall call;
  uint64_t buffer[2 + BUFFER_ACCESSES];
} thread;

typedef struct {
  cacheShape l1, l2, llc;
  unsigned lineShift;     /* of the filter */
  uint64_t sliceClockMax; /* a slice spans about this many instructions at most */
  bool alignHuge;
  const char *socketPath;
} options;

extern options recordingOptions;
extern thread *threadTable[THREADS_MAX]; /* by vCPU index; entries stay after a thread's end */
/* More than one thread was started: counters and buffers are shared. Never false again. */
extern bool recordingParallel;

/* The thread of vCPU `vcpu`, introduced to the recorder if it is new. Its own thread calls. */
thread *threadRunning(unsigned vcpu);
void threadIntroduce(thread *self);
/* Passes [address, address + bytes) through the filter, for what the kernel reads and writes. */
void threadTouch(thread *self, uint64_t address, uint64_t bytes, uint64_t dirty);
void threadFlush(thread *self);
/* Everything that any thread did so far is sent before what comes next. */
void recordingFlushAll(void);
void recordingForgetRange(uint64_t start, uint64_t end);
/* Everything is sent, with the counts of accesses; only the end is still to come. */
void recordingFinish(void);
void recordingFail(const char *why) __attribute__((noreturn));

/* initialMap.c: sends what the loader mapped. `guestBase` is host address - guest address. */
void initialMapSend(uint64_t guestBase);

/* syscalls.c */
void syscallEntered(thread *self, int64_t nr, const uint64_t args[6]);
void syscallReturned(thread *self, int64_t nr, int64_t result);
/* In a forked child: nothing is known of files and pending calls any more. */
void syscallsForked(void);

#endif
