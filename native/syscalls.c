/*
 * The system calls that matter to memory: which are sent, when, and what they do to the filter.
 *
 * A call is sent when it returns, with its result, after everything its thread did before. Calls
 * that take memory away wait until the accesses of all threads are out, and make the filter forget
 * the range, so that the next touch of a page at that address is seen again. Calls that change
 * mappings are serialised between entry and return, as mmap_lock does, so that they are sent in
 * the order in which they happened.
 *
 * What the kernel copies for read, write, send and receive goes through the calling thread's
 * filter like its own accesses. Not modelled: other copies to and from user memory (stat, poll...).
 * Deviates: QEMU places mappings itself, upwards from 1 << 38, and does not reuse addresses soon.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "files.h"
#include "rawStream.h"
#include "recording.h"

#define HUGE_PAGE_BYTES (2ull << 20)
#define IOV_KEPT 64

/* Where QEMU puts the next mapping without an address; visible in the Debian build. */
extern unsigned long mmap_next_start __attribute__((weak));

static pthread_mutex_t addressSpaceLock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t programBreak;

void syscallsForked(void) {
  pthread_mutex_init(&addressSpaceLock, NULL);
  filesForked();
}

/* Copies from the program's memory; false instead of a fault if it is not there. */
static bool readGuest(uint64_t address, void *to, size_t bytes) {
  struct iovec local = {to, bytes};
  struct iovec remote = {(void *)(uintptr_t)address, bytes};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static void sendCall(thread *self, int64_t nr, int64_t result, const uint64_t *args,
                     uint64_t aux) {
  const uint64_t words[10] = {self->clock, (uint64_t)nr, (uint64_t)result, args[0], args[1],
                              args[2],     args[3],      args[4],          args[5], aux};
  rawSend(BLOCK_CALL, self->tid, words, 10, NULL);
}

static bool changesMappings(int64_t nr) {
  switch (nr) {
    case SYS_mmap: case SYS_munmap: case SYS_mremap: case SYS_mprotect: case SYS_madvise:
    case SYS_brk: case SYS_shmat: case SYS_shmdt:
      return true;
    default:
      return false;
  }
}

/* The memory a call takes away or hides, [start, end); empty for the others. */
static void takenRange(int64_t nr, const uint64_t *args, uint64_t *start, uint64_t *end) {
  *start = *end = 0;
  if (nr == SYS_brk) {
    if (args[0] == 0 || args[0] >= programBreak) return;
    *start = args[0];
    *end = programBreak;
    return;
  }
  const bool takes =
      nr == SYS_munmap || nr == SYS_mremap || (nr == SYS_mmap && (args[3] & MAP_FIXED) != 0) ||
      (nr == SYS_mprotect && (args[2] & PROT_READ) == 0) ||
      (nr == SYS_madvise && args[2] >= MADV_DONTNEED && args[2] != MADV_DONTFORK &&
       args[2] != MADV_DOFORK && args[2] != MADV_HUGEPAGE && args[2] != MADV_NOHUGEPAGE);
  if (!takes) return;
  *start = args[0];
  *end = args[0] + args[1];
}

static void sendEnd(thread *self, uint64_t status, bool wholeProcess) {
  const uint64_t words[2] = {self->clock, status};
  if (wholeProcess) {
    recordingFinish();
  } else {
    threadFlush(self);
    self->alive = false;
  }
  rawSend(wholeProcess ? BLOCK_END : BLOCK_END_THREAD, self->tid, words, 2, NULL);
}

static void sendExec(thread *self, uint64_t pathAddress) {
  char path[256] = "?";
  for (size_t i = 0; i < sizeof path - 1; i++) {
    if (!readGuest(pathAddress + i, path + i, 1) || path[i] == '\0') break;
    path[i + 1] = '\0';
  }
  recordingFlushAll();
  const uint64_t words[1] = {self->clock};
  rawSend(BLOCK_EXEC, self->tid, words, 1, path);
}

static void alignHuge(const uint64_t *args) {
  if (!recordingOptions.alignHuge || &mmap_next_start == NULL) return;
  const uint64_t length = args[1];
  const bool free = args[0] == 0 && (args[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == 0;
  if (!free || (args[3] & MAP_ANONYMOUS) == 0 || length == 0 || length % HUGE_PAGE_BYTES != 0) {
    return;
  }
  mmap_next_start = (mmap_next_start + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
}

void syscallEntered(thread *self, int64_t nr, const uint64_t args[6]) {
  memcpy(self->call.args, args, sizeof self->call.args);
  if (changesMappings(nr)) {
    pthread_mutex_lock(&addressSpaceLock);
    uint64_t start, end;
    takenRange(nr, args, &start, &end);
    if (end > start) recordingFlushAll();
    if (nr == SYS_mmap) alignHuge(args);
    return;
  }
  switch (nr) {
    case SYS_close: fileFdGone((int64_t)args[0]); break;
    case SYS_dup2: case SYS_dup3: fileFdGone((int64_t)args[1]); break;
    case SYS_close_range: fileFdsGone(); break;
    case SYS_execve: sendExec(self, args[0]); break;
    case SYS_execveat: sendExec(self, args[1]); break;
    case SYS_exit: sendEnd(self, args[0], !recordingParallel); break;
    case SYS_exit_group: sendEnd(self, args[0], true); break;
    case SYS_futex: case SYS_poll: case SYS_epoll_wait: case SYS_wait4: case SYS_nanosleep:
      /* It may sleep for long: do not sit on what it did. A few accesses are not worth a slice. */
      if (self->count > BUFFER_ACCESSES / 8) threadFlush(self);
      break;
    default: break;
  }
}

/* --- file and socket contents --- */

static void touchVector(thread *self, uint64_t vector, uint64_t count, int64_t bytes,
                        uint64_t dirty) {
  struct iovec parts[IOV_KEPT];
  if (count > IOV_KEPT) count = IOV_KEPT;
  if (!readGuest(vector, parts, count * sizeof parts[0])) return;
  for (uint64_t i = 0; i < count && bytes > 0; i++) {
    const int64_t part = (int64_t)parts[i].iov_len < bytes ? (int64_t)parts[i].iov_len : bytes;
    threadTouch(self, (uint64_t)(uintptr_t)parts[i].iov_base, (uint64_t)part, dirty);
    bytes -= part;
  }
}

/* Sent as read or write with {file id + 1, offset, bytes, address}. */
static void sendFileIo(thread *self, uint64_t address, int64_t bytes, int64_t offset,
                       bool isWrite) {
  const uint64_t file = fileIdOfFd((int64_t)self->call.args[0]);
  if (file == 0) return;
  if (offset < 0) offset = lseek((int)self->call.args[0], 0, SEEK_CUR) - bytes;
  if (offset < 0) return;
  const uint64_t args[6] = {file, (uint64_t)offset, (uint64_t)bytes, address, 0, 0};
  sendCall(self, isWrite ? SYS_write : SYS_read, bytes, args, 0);
}

/* True if `nr` copies data; `bytes` is its result. */
static bool copied(thread *self, int64_t nr, int64_t bytes) {
  const uint64_t *args = self->call.args;
  const bool isWrite = nr == SYS_write || nr == SYS_pwrite64 || nr == SYS_writev ||
                       nr == SYS_pwritev || nr == SYS_sendto || nr == SYS_sendmsg;
  const uint64_t dirty = isWrite ? 0 : 1;
  uint64_t address = args[1];
  switch (nr) {
    case SYS_read: case SYS_write: case SYS_pread64: case SYS_pwrite64:
    case SYS_recvfrom: case SYS_sendto:
      if (bytes > 0) threadTouch(self, address, (uint64_t)bytes, dirty);
      break;
    case SYS_readv: case SYS_writev: case SYS_preadv: case SYS_pwritev:
      if (bytes > 0) touchVector(self, args[1], args[2], bytes, dirty);
      if (!readGuest(args[1], &address, sizeof address)) address = 0;
      break;
    case SYS_recvmsg: case SYS_sendmsg: {
      uint64_t header[4]; /* name, its length, vector, its length */
      if (bytes > 0 && readGuest(args[1], header, sizeof header)) {
        touchVector(self, header[2], header[3], bytes, dirty);
      }
      return true;
    }
    default: return false;
  }
  if (bytes <= 0 || nr == SYS_recvfrom || nr == SYS_sendto) return true;
  const bool positioned = nr == SYS_pread64 || nr == SYS_pwrite64 || nr == SYS_preadv ||
                          nr == SYS_pwritev;
  sendFileIo(self, address, bytes, positioned ? (int64_t)args[3] : -1, isWrite);
  return true;
}

/* --- returns --- */

static uint64_t segmentBytes(uint64_t id) {
  struct shmid_ds segment;
  return shmctl((int)id, IPC_STAT, &segment) == 0 ? segment.shm_segsz : 0;
}

static void mappingChanged(thread *self, int64_t nr, int64_t result) {
  const uint64_t *args = self->call.args;
  uint64_t aux = 0, start, end;
  takenRange(nr, args, &start, &end);
  if (end > start && !(result < 0 && result > -4096)) recordingForgetRange(start, end);
  if (nr == SYS_brk) programBreak = (uint64_t)result;
  if (nr == SYS_mmap && (args[3] & MAP_ANONYMOUS) == 0) aux = fileIdOfFd((int64_t)(int)args[4]);
  if (nr == SYS_shmat) aux = segmentBytes(args[0]);
  threadFlush(self);
  sendCall(self, nr, result, args, aux);
  pthread_mutex_unlock(&addressSpaceLock);
}

/* The node mask argument of mbind and set_mempolicy: its first 64 nodes. */
static uint64_t nodemaskAt(uint64_t address) {
  uint64_t mask = 0;
  return address != 0 && readGuest(address, &mask, sizeof mask) ? mask : 0;
}

void syscallReturned(thread *self, int64_t nr, int64_t result) {
  const uint64_t *args = self->call.args;
  if (changesMappings(nr)) {
    mappingChanged(self, nr, result);
    return;
  }
  if (copied(self, nr, result)) return;
  uint64_t aux = 0;
  switch (nr) {
    case SYS_clone: case SYS_fork: case SYS_vfork:
      if (result == 0) return; /* the child, on a stream of its own */
      break;
    case SYS_execve: case SYS_execveat: /* it failed */
    case SYS_mlock: case SYS_mlock2: case SYS_munlock: case SYS_mlockall: case SYS_munlockall:
    case SYS_msync:
      break;
    case SYS_mbind: aux = nodemaskAt(args[3]); break;
    case SYS_set_mempolicy: aux = nodemaskAt(args[1]); break;
    case 450: break; /* set_mempolicy_home_node */
    case SYS_ftruncate: case SYS_fsync: case SYS_fdatasync: case SYS_fadvise64:
      aux = fileIdOfFd((int64_t)args[0]);
      if (aux == 0) return;
      break;
    default: return;
  }
  threadFlush(self);
  sendCall(self, nr, result, args, aux);
}
