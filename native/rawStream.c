/* The sending side of the raw stream; see rawStream.h. */
#define _GNU_SOURCE
#include "rawStream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* A descriptor the program is unlikely to use or to close in a loop over small ones. */
#define STREAM_FD_WANTED 1019
/* Exit status when the recorder is gone: the program ends with it. */
#define STATUS_RECORDER_GONE 125

static int streamFd = -1;
static pthread_mutex_t streamLock = PTHREAD_MUTEX_INITIALIZER;

int rawConnect(const char *socketPath) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(socketPath) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, socketPath);
  if (streamFd >= 0) close(streamFd);
  pthread_mutex_init(&streamLock, NULL);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return -1;
  }
  const int size = 1 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  streamFd = dup3(fd, STREAM_FD_WANTED, O_CLOEXEC);
  if (streamFd < 0) {
    streamFd = fd;
  } else {
    close(fd);
  }
  return 0;
}

static void sendAll(struct iovec *parts, int count) {
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
  while (message.msg_iovlen > 0) {
    ssize_t sent = sendmsg(streamFd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      _exit(STATUS_RECORDER_GONE);
    }
    while (message.msg_iovlen > 0 && (size_t)sent >= message.msg_iov->iov_len) {
      sent -= (ssize_t)message.msg_iov->iov_len;
      message.msg_iov++;
      message.msg_iovlen--;
    }
    if (message.msg_iovlen > 0) {
      message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
      message.msg_iov->iov_len -= (size_t)sent;
    }
  }
}

void rawSend(enum blockType type, uint32_t tid, const uint64_t *words, size_t count,
             const char *text) {
  static const char zeros[8] = {0};
  const size_t bytes = text == NULL ? 0 : strlen(text);
  const size_t padding = (8 - bytes % 8) % 8;
  const size_t payload = count + (text == NULL ? 0 : 1 + (bytes + padding) / 8);
  uint64_t header[2] = {(uint64_t)type | (uint64_t)payload << 8, tid};
  uint64_t length = bytes;
  struct iovec parts[5] = {{header, sizeof header}, {(void *)words, count * 8}};
  int used = 2;
  if (text != NULL) {
    parts[used++] = (struct iovec){&length, 8};
    parts[used++] = (struct iovec){(void *)text, bytes};
    parts[used++] = (struct iovec){(void *)zeros, padding};
  }
  pthread_mutex_lock(&streamLock);
  sendAll(parts, used);
  pthread_mutex_unlock(&streamLock);
}

void rawKeepAcrossClose(int fd) {
  if (fd != streamFd || fd < 0) return;
  pthread_mutex_lock(&streamLock);
  const int moved = fcntl(streamFd, F_DUPFD_CLOEXEC, STREAM_FD_WANTED - 200);
  if (moved >= 0) streamFd = moved;
  pthread_mutex_unlock(&streamLock);
}
