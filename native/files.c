/*
 * Which file a descriptor or mapping means. A file is an inode: the recorder learns each one once
 * (FILE), and the calls name it by id + 1 (0 = no regular file). Descriptors of the program are
 * descriptors of this process, so fstat tells; what it told is kept until the program closes or
 * replaces the descriptor.
 */
#define _GNU_SOURCE
#include "files.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rawStream.h"
#include "recording.h"

#define FDS_KEPT 65536
#define FD_UNKNOWN 0
#define FD_NO_FILE UINT32_MAX

typedef struct {
  uint64_t device, inode;
} fileName;

static fileName *files;
static size_t fileCount, fileCapacity;
static uint32_t fdFile[FDS_KEPT]; /* file id + 1, FD_UNKNOWN or FD_NO_FILE */
static pthread_mutex_t filesLock = PTHREAD_MUTEX_INITIALIZER;

void filesForked(void) {
  pthread_mutex_init(&filesLock, NULL);
  fileCount = 0;
  memset(fdFile, 0, sizeof fdFile);
}

uint64_t fileIdOfPath(uint64_t device, uint64_t inode, uint64_t sizeBytes, const char *path) {
  pthread_mutex_lock(&filesLock);
  size_t i = fileCount;
  while (i > 0 && (files[i - 1].inode != inode || files[i - 1].device != device)) i--;
  if (i == 0) {
    if (fileCount == fileCapacity) {
      fileCapacity = fileCapacity == 0 ? 256 : fileCapacity * 2;
      files = realloc(files, fileCapacity * sizeof *files);
      if (files == NULL) recordingFail("no memory for the names of the program's files");
    }
    files[fileCount++] = (fileName){device, inode};
    i = fileCount;
    const uint64_t words[4] = {i - 1, device, inode, sizeBytes};
    rawSend(BLOCK_FILE, 0, words, 4, path);
  }
  pthread_mutex_unlock(&filesLock);
  return i;
}

uint64_t fileIdOfFd(int64_t fd) {
  if (fd < 0) return 0;
  const bool kept = fd < FDS_KEPT;
  if (kept && fdFile[fd] != FD_UNKNOWN) return fdFile[fd] == FD_NO_FILE ? 0 : fdFile[fd];
  struct stat status;
  uint64_t id = 0;
  if (fstat((int)fd, &status) == 0 && S_ISREG(status.st_mode)) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", (int)fd);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    id = fileIdOfPath(status.st_dev, status.st_ino, (uint64_t)status.st_size, path);
  }
  if (kept) fdFile[fd] = id == 0 ? FD_NO_FILE : (uint32_t)id;
  return id;
}

void fileFdGone(int64_t fd) {
  if (fd >= 0 && fd < FDS_KEPT) fdFile[fd] = FD_UNKNOWN;
  rawKeepAcrossClose((int)fd);
}

void fileFdsGone(void) { memset(fdFile, 0, sizeof fdFile); }
