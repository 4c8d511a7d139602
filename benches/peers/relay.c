/* The floor: a relay that copies bytes and understands none of them.
 *
 * Each accepted connection gets its own connection to the backend, and every read on one side is one write on the other:
 * two reads and two writes for a request and its answer, with one epoll_wait for as many sockets as are ready. A proxy
 * that works with sockets the ordinary way cannot do less, so what a peer costs above this is what it costs to be a proxy.
 *
 *   relay PORT BACKEND_PORT        one thread, loopback only, runs until it is killed
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 8192, CHUNK = 65536, MAX_EVENTS = 512 };

static int other_end[MAX_FD]; /* 0 = not in use: standard input is never one of ours */
static int poll_fd;

static struct sockaddr_in loopback(const char *port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(int fd) {
    int yes = 1;
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &interest);
}

static void hang_up(int fd) {
    int other = other_end[fd];
    other_end[fd] = other_end[other] = 0;
    close(fd);
    close(other);
}

static void join(int caller, const struct sockaddr_in *backend) {
    int upstream = socket(AF_INET, SOCK_STREAM, 0);
    if (caller >= MAX_FD || upstream >= MAX_FD || connect(upstream, (const void *)backend, sizeof *backend)) {
        perror("connect");
        close(caller);
        close(upstream);
        return;
    }
    other_end[caller] = upstream;
    other_end[upstream] = caller;
    watch(caller);
    watch(upstream);
}

static void copy(int from) {
    static char chunk[CHUNK];
    if (!other_end[from]) /* closed by an earlier event of the same batch */
        return;
    ssize_t got = read(from, chunk, sizeof chunk);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || send(other_end[from], chunk, got, MSG_NOSIGNAL) != got)
        hang_up(from);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: relay PORT BACKEND_PORT\n");
        return 2;
    }
    struct sockaddr_in here = loopback(arguments[1]), backend = loopback(arguments[2]);
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    poll_fd = epoll_create1(0);
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = listener}, ready[MAX_EVENTS];
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &interest);
    for (;;) {
        int n = epoll_wait(poll_fd, ready, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd != listener) {
                copy(ready[i].data.fd);
                continue;
            }
            int caller = accept(listener, NULL, NULL);
            if (caller >= 0)
                join(caller, &backend);
        }
    }
}
