/*
 * libhetmemtrace.so: the TCG plugin behind `hetmem record`.
 *
 * QEMU's user emulation translates a program block by block and calls us for every load and store.
 * Here: each access goes through the thread's modelled caches (cacheFilter.h); what misses goes
 * into the thread's buffer and, a few thousand at a time, to the recorder (rawStream.h), together
 * with the system calls that change memory (syscalls.c). The clock of a thread is the number of
 * instructions it has executed, counted block by block with a callback: an inline add has one
 * address for all threads, and under QEMU 7.2 some blocks translated before the first clone were
 * seen to run on in the threads made by it (sort --parallel=4), so that one thread counted what
 * another ran. Until the first clone no buffer is locked.
 *
 * Not modelled: instruction fetches, but for the first execution of each block, which is recorded
 * as a read of its lines, so that the text's pages are touched.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "qemuPlugin.h"
#include "rawStream.h"
#include "recording.h"

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

options recordingOptions;
thread *threadTable[THREADS_MAX];
bool recordingParallel;

static cacheLevel llc;
static uint64_t noEntry; /* the single, always empty L1 entry when there is no L1 */
static bool begun;       /* the initial map was sent */
static bool finished;    /* the process's end was sent */
static pid_t processPid;
static qemu_plugin_meminfo_t storeBits;
static atomic_uint threadsStarted;
static _Thread_local thread *ownThread; /* known once the thread has been introduced */

void recordingFail(const char *why) {
  fprintf(stderr, "hetmem record: %s\n", why);
  rawSend(BLOCK_NOTE, 0, NULL, 0, why);
  _exit(125);
}

/* --- threads --- */

static void makeFilter(thread *self) {
  const options *o = &recordingOptions;
  if (!cacheLevelMake(&self->filter.l1, o->l1, o->lineShift) ||
      !cacheLevelMake(&self->filter.l2, o->l2, o->lineShift)) {
    recordingFail("the modelled caches need a power-of-two number of sets (size / ways / line)");
  }
  if (o->l1.ways == 0) self->filter.l1.entries = &noEntry;
  self->filter.llc = o->llc.ways == 0 ? NULL : &llc;
}

static void onThreadInit(qemu_plugin_id_t id, unsigned vcpu) {
  (void)id;
  if (vcpu >= THREADS_MAX) recordingFail("more threads at once than the recorder can follow");
  thread *self = threadTable[vcpu];
  if (self == NULL) {
    self = mmap(NULL, sizeof *self, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (self == MAP_FAILED) recordingFail("no memory for another thread's buffer");
    makeFilter(self);
  } else {
    cacheLevelForget(&self->filter.l1);
    cacheLevelForget(&self->filter.l2);
    self->count = 0;
    self->clock = 0;
  }
  self->tid = 0;
  /* The creator runs this; the first thread of all is created before it exists. */
  self->creatorTid = atomic_fetch_add(&threadsStarted, 1) == 0 ? 0 : (uint32_t)gettid();
  self->alive = true;
  if (self->creatorTid != 0) recordingParallel = true;
  threadTable[vcpu] = self;
}

void threadIntroduce(thread *self) {
  const uint64_t creator = self->creatorTid;
  self->tid = (uint32_t)gettid();
  ownThread = self;
  rawSend(BLOCK_THREAD, self->tid, &creator, 1, NULL);
}

thread *threadRunning(unsigned vcpu) {
  thread *self = threadTable[vcpu];
  if (self->tid == 0) threadIntroduce(self);
  return self;
}

static void lockBuffer(thread *self) {
  while (atomic_flag_test_and_set_explicit(&self->lock, memory_order_acquire)) {
  }
}

static void unlockBuffer(thread *self) {
  atomic_flag_clear_explicit(&self->lock, memory_order_release);
}

static void sendBuffer(thread *self) {
  if (self->count == 0) return;
  self->buffer[0] = self->sliceStart;
  self->buffer[1] = self->clock;
  rawSend(BLOCK_ACCESS, self->tid, self->buffer, 2 + self->count, NULL);
  self->count = 0;
}

void threadFlush(thread *self) {
  lockBuffer(self);
  sendBuffer(self);
  unlockBuffer(self);
}

void recordingFlushAll(void) {
  for (unsigned i = 0; i < THREADS_MAX && threadTable[i] != NULL; i++) {
    if (threadTable[i]->alive) threadFlush(threadTable[i]);
  }
}

static void emit(thread *self, uint64_t address, uint64_t dirty) {
  if (self->tid == 0) threadIntroduce(self);
  const bool locked = recordingParallel;
  if (locked) lockBuffer(self);
  if (self->count == BUFFER_ACCESSES ||
      (self->count > 0 && self->clock - self->sliceStart > recordingOptions.sliceClockMax)) {
    sendBuffer(self);
  }
  if (self->count == 0) self->sliceStart = self->clock;
  self->buffer[2 + self->count++] = address >> LINE_SHIFT << 1 | dirty;
  self->misses++;
  if (locked) unlockBuffer(self);
}

/* --- accesses --- */

static void __attribute__((noinline)) slowAccess(thread *self, uint64_t address, uint64_t dirty) {
  const uint64_t line = address >> recordingOptions.lineShift;
  if (cacheFilterMiss(&self->filter, line, dirty, recordingParallel)) emit(self, address, dirty);
}

void threadTouch(thread *self, uint64_t address, uint64_t bytes, uint64_t dirty) {
  const uint64_t lineBytes = (uint64_t)1 << recordingOptions.lineShift;
  for (uint64_t at = address & ~(lineBytes - 1); at < address + bytes; at += lineBytes) {
    slowAccess(self, at, dirty);
  }
}

static void onAccess(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *userdata) {
  (void)userdata;
  thread *self = threadTable[vcpu];
  self->accesses++;
  const uint64_t dirty = (info & storeBits) != 0;
  if (cacheFilterHitsFirst(&self->filter.l1, address >> recordingOptions.lineShift, dirty)) return;
  slowAccess(self, address, dirty);
}

/* A call less per access: which bits of an access's description make it a store. */
static bool learnStoreBits(void) {
  for (unsigned bit = 0; bit < 32; bit++) {
    if (qemu_plugin_mem_is_store((qemu_plugin_meminfo_t)1 << bit)) storeBits |= 1u << bit;
  }
  return storeBits != 0 && !qemu_plugin_mem_is_store(0);
}

/* --- translation --- */

static void onBlockExecuted(unsigned vcpu, void *instructions) {
  threadTable[vcpu]->clock += (uintptr_t)instructions;
}

static void onTranslate(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(block);
  struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(block, 0);
  const uint64_t start = qemu_plugin_insn_vaddr(first);
  if (!begun) {
    begun = true;
    threadIntroduce(threadTable[0]);
    initialMapSend((uint64_t)(uintptr_t)qemu_plugin_insn_haddr(first) - start);
  }
  qemu_plugin_register_vcpu_tb_exec_cb(block, onBlockExecuted, QEMU_PLUGIN_CB_NO_REGS,
                                       (void *)(uintptr_t)count);
  for (size_t i = 0; i < count; i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
    /* One callback for both: QEMU 7.2 confuses loads and stores when asked for one of them. */
    qemu_plugin_register_vcpu_mem_cb(insn, onAccess, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                     NULL);
  }
  struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(block, count - 1);
  const uint64_t end = qemu_plugin_insn_vaddr(last) + qemu_plugin_insn_size(last);
  if (ownThread != NULL) threadTouch(ownThread, start, end - start, 0);
}

/* --- system calls, fork, end --- */

static void onSyscall(qemu_plugin_id_t id, unsigned vcpu, int64_t nr, uint64_t a1, uint64_t a2,
                      uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                      uint64_t a8) {
  (void)id, (void)a7, (void)a8;
  const uint64_t args[6] = {a1, a2, a3, a4, a5, a6};
  syscallEntered(threadRunning(vcpu), nr, args);
}

static void onSyscallReturn(qemu_plugin_id_t id, unsigned vcpu, int64_t nr, int64_t result) {
  (void)id;
  syscallReturned(threadRunning(vcpu), nr, result);
}

void recordingForgetRange(uint64_t start, uint64_t end) {
  const unsigned shift = recordingOptions.lineShift;
  const uint64_t first = start >> shift;
  const uint64_t past = ((end - 1) >> shift) + 1;
  if (end <= start) return;
  for (unsigned i = 0; i < THREADS_MAX && threadTable[i] != NULL; i++) {
    if (!threadTable[i]->alive) continue;
    cacheLevelForgetRange(&threadTable[i]->filter.l1, first, past);
    cacheLevelForgetRange(&threadTable[i]->filter.l2, first, past);
  }
  cacheLevelForgetRange(&llc, first, past);
}

static void sendCounts(void) {
  uint64_t words[2] = {0, 0};
  for (unsigned i = 0; i < THREADS_MAX && threadTable[i] != NULL; i++) {
    words[0] += threadTable[i]->accesses;
    words[1] += threadTable[i]->misses;
  }
  rawSend(BLOCK_COUNT, 0, words, 2, NULL);
}

/* After a fork each side's next store to a page breaks the sharing: it must be seen. */
static void cleanAll(void) {
  for (unsigned i = 0; i < THREADS_MAX && threadTable[i] != NULL; i++) {
    cacheLevelClean(&threadTable[i]->filter.l1);
    cacheLevelClean(&threadTable[i]->filter.l2);
  }
  cacheLevelClean(&llc);
}

static void beforeFork(void) {
  recordingFlushAll();
  cleanAll();
}

static void sendHello(pid_t parent) {
  processPid = getpid();
  const uint64_t hello[3] = {RAW_VERSION, (uint64_t)processPid, (uint64_t)parent};
  rawSend(BLOCK_HELLO, 0, hello, 3, NULL);
}

/* The child runs the forking thread only, with cold private caches and a stream of its own. */
static void inForkedChild(void) {
  const pid_t parent = processPid;
  for (unsigned i = 0; i < THREADS_MAX && threadTable[i] != NULL; i++) {
    thread *other = threadTable[i];
    cacheLevelForget(&other->filter.l1);
    cacheLevelForget(&other->filter.l2);
    other->alive = other == ownThread;
    other->count = 0;
    other->clock = 0;
    other->accesses = 0;
    other->misses = 0;
    other->tid = 0;
    other->creatorTid = 0;
    atomic_flag_clear(&other->lock);
  }
  cacheLevelForget(&llc);
  syscallsForked();
  if (rawConnect(recordingOptions.socketPath) != 0) _exit(125);
  sendHello(parent);
  threadIntroduce(ownThread);
}

void recordingFinish(void) {
  if (finished || getpid() != processPid) return;
  finished = true;
  recordingFlushAll();
  sendCounts();
}

/* QEMU ends without the program having asked for it. */
static void onExit(qemu_plugin_id_t id, void *userdata) {
  (void)id, (void)userdata;
  recordingFinish();
}

/* --- installation --- */

static bool named(const char *argument, size_t length, const char *name) {
  return strlen(name) == length && strncmp(argument, name, length) == 0;
}

/* "size:ways", for example 2097152:16; "0" = absent. */
static cacheShape shapeOf(const char *text) {
  char *rest;
  cacheShape shape = {.sizeBytes = strtoull(text, &rest, 10)};
  if (*rest == ':') shape.ways = (unsigned)strtoul(rest + 1, NULL, 10);
  return shape;
}

static bool parseOption(const char *argument) {
  options *o = &recordingOptions;
  const char *value = strchr(argument, '=');
  if (value == NULL) return false;
  const size_t length = (size_t)(value - argument);
  value++;
  if (named(argument, length, "socket")) o->socketPath = value;
  else if (named(argument, length, "l1")) o->l1 = shapeOf(value);
  else if (named(argument, length, "l2")) o->l2 = shapeOf(value);
  else if (named(argument, length, "llc")) o->llc = shapeOf(value);
  else if (named(argument, length, "lineshift")) o->lineShift = (unsigned)atoi(value);
  else if (named(argument, length, "slice")) o->sliceClockMax = strtoull(value, NULL, 10);
  else if (named(argument, length, "alignhuge")) o->alignHuge = atoi(value) != 0;
  else return false;
  return true;
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                      char **argv) {
  recordingOptions = (options){.lineShift = LINE_SHIFT, .sliceClockMax = 1000000};
  if (info->system_emulation || strcmp(info->target_name, "x86_64") != 0) {
    fprintf(stderr, "hetmem record: only x86-64 programs under qemu-user can be recorded\n");
    return -1;
  }
  if (!learnStoreBits()) {
    fprintf(stderr, "hetmem record: this QEMU does not tell loads from stores as expected\n");
    return -1;
  }
  for (int i = 0; i < argc; i++) {
    if (parseOption(argv[i])) continue;
    fprintf(stderr, "hetmem record: the plugin does not know the option %s\n", argv[i]);
    return -1;
  }
  if (recordingOptions.socketPath == NULL || rawConnect(recordingOptions.socketPath) != 0) {
    fprintf(stderr, "hetmem record: the plugin cannot reach its recorder\n");
    return -1;
  }
  if (!cacheLevelMake(&llc, recordingOptions.llc, recordingOptions.lineShift)) {
    fprintf(stderr, "hetmem record: the LLC needs a power-of-two number of sets\n");
    return -1;
  }
  /* A recorder that is killed takes the program with it, even if that never misses a cache. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sendHello(0);
  pthread_atfork(beforeFork, NULL, inForkedChild);
  qemu_plugin_register_vcpu_init_cb(id, onThreadInit);
  qemu_plugin_register_vcpu_tb_trans_cb(id, onTranslate);
  qemu_plugin_register_vcpu_syscall_cb(id, onSyscall);
  qemu_plugin_register_vcpu_syscall_ret_cb(id, onSyscallReturn);
  qemu_plugin_register_atexit_cb(id, onExit, NULL);
  return 0;
}
