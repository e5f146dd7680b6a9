/* A disk that fails on demand: preloaded, it counts what a process does to files below one folder, and spoils the N-th.
 *
 * Counted: opening to create, write, truncate, sync, rename, link, unlink, mkdir, rmdir. What happens at the N-th is the mode: it fails
 * once; it and every later one that needs room fails; the process is killed before it; the process is killed when half of it is written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE = 1, FULL, KILL, TORN };

static char folder[4096];
static volatile long count, at;
static volatile int mode, code;

void faulty_arm(const char *below, long number, int how, int error) {
    strncpy(folder, below, sizeof folder - 1);
    count = 0, at = number, mode = how, code = error;
}

long faulty_count(void) { return count; }

static int below(const char *path) {
    return folder[0] && path && !strncmp(path, folder, strlen(folder));
}

static int below_fd(int fd) {
    char link[64], path[4096];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Whether this operation fails; needs_room says whether a full disk refuses it. */
static int fails(int needs_room) {
    long now = __sync_add_and_fetch(&count, 1);
    if (!at || now < at) return 0;
    if (now == at && (mode == KILL || mode == TORN)) kill(getpid(), SIGKILL);
    if ((now == at && mode == ONCE) || (mode == FULL && needs_room)) { errno = code; return 1; }
    return 0;
}

#define REAL(type, name) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)

#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...) {                                       \
        typedef int (*call)(const char *, int, ...);                                   \
        REAL(call, #name);                                                             \
        mode_t access = 0;                                                             \
        if (flags & O_CREAT) { va_list rest; va_start(rest, flags); access = va_arg(rest, mode_t); va_end(rest); } \
        if ((flags & O_CREAT) && below(path) && fails(1)) return -1;                    \
        return real(path, flags, access);                                              \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *data, size_t size) {
    typedef ssize_t (*call)(int, const void *, size_t);
    REAL(call, "write");
    if (below_fd(fd)) {
        if (mode == TORN && at && count + 1 == at) real(fd, data, size / 2);
        if (fails(1)) return -1;
    }
    return real(fd, data, size);
}

#define CALL_FD(name, room)                                                            \
    int name(int fd) {                                                                 \
        typedef int (*call)(int);                                                      \
        REAL(call, #name);                                                             \
        if (below_fd(fd) && fails(room)) return -1;                                    \
        return real(fd);                                                               \
    }
CALL_FD(fsync, 0)
CALL_FD(fdatasync, 0)

#define CALL_PATH(name, room)                                                          \
    int name(const char *path) {                                                       \
        typedef int (*call)(const char *);                                             \
        REAL(call, #name);                                                             \
        if (below(path) && fails(room)) return -1;                                     \
        return real(path);                                                             \
    }
CALL_PATH(unlink, 0)
CALL_PATH(rmdir, 0)

#define CALL_TWO(name, room)                                                           \
    int name(const char *from, const char *to) {                                       \
        typedef int (*call)(const char *, const char *);                               \
        REAL(call, #name);                                                             \
        if (below(to) && fails(room)) return -1;                                       \
        return real(from, to);                                                         \
    }
CALL_TWO(rename, 0)
CALL_TWO(link, 1)

int linkat(int from, const char *old, int to, const char *new, int flags) {
    typedef int (*call)(int, const char *, int, const char *, int);
    REAL(call, "linkat");
    if (below(new) && fails(1)) return -1;
    return real(from, old, to, new, flags);
}

int unlinkat(int place, const char *path, int flags) {
    typedef int (*call)(int, const char *, int);
    REAL(call, "unlinkat");
    if ((below(path) || (path[0] != '/' && below_fd(place))) && fails(0)) return -1;
    return real(place, path, flags);
}

int mkdir(const char *path, mode_t access) {
    typedef int (*call)(const char *, mode_t);
    REAL(call, "mkdir");
    if (below(path) && fails(1)) return -1;
    return real(path, access);
}

int ftruncate(int fd, off_t size) {
    typedef int (*call)(int, off_t);
    REAL(call, "ftruncate");
    if (below_fd(fd) && fails(0)) return -1;
    return real(fd, size);
}
