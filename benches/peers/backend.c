/* A token server that costs next to nothing, so that the proxy in front of it is what gets measured.
 *
 * Every POST is answered at once with the same token. A request whose body holds `scope=echo` is answered with its own
 * bytes instead: that is how the check before a measurement sees what a proxy really sent upstream. Requests must carry
 * a Content-Length; anything else gets a 411 and a closed connection, so that a wrong set-up is loud.
 *
 *   backend PORT        one thread, epoll, loopback only, runs until it is killed
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 32768, MAX_REQUEST = 16384, MAX_EVENTS = 256 };

static const char TOKEN[] = "{\"access_token\":\"mF_9.B5f-4.1JqM.mF_9.B5f-4.1JqM.mF_9.B5f-4.1JqM\","
                            "\"token_type\":\"Bearer\",\"expires_in\":3600,\"scope\":\"read\"}";
static const char UNSIZED[] = "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

struct connection {
    size_t filled;
    char bytes[MAX_REQUEST];
};

static struct connection *open_connections[MAX_FD];
static char token_answer[1024];
static size_t token_answer_size;

static void stop(const char *what) {
    perror(what);
    exit(1);
}

/* The value of Content-Length in a header block, or -1. */
static long body_size(const char *head, size_t size) {
    static const char name[] = "\r\ncontent-length:";
    const size_t length = sizeof name - 1;
    for (size_t i = 0; i + length < size; i++)
        if (head[i] == '\r' && strncasecmp(head + i, name, length) == 0)
            return strtol(head + i + length, NULL, 10);
    return -1;
}

static int send_all(int fd, const char *bytes, size_t size) {
    return send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static int echo(int fd, const char *request, size_t size) {
    static char answer[MAX_REQUEST + 256];
    int head = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", size);
    memcpy(answer + head, request, size);
    return send_all(fd, answer, head + size);
}

/* Answers every whole request in the buffer. 0 = the connection is of no more use. */
static int answer_requests(int fd, struct connection *c) {
    size_t done = 0;
    for (;;) {
        const char *request = c->bytes + done;
        size_t left = c->filled - done;
        const char *blank = memmem(request, left, "\r\n\r\n", 4);
        if (!blank)
            break;
        size_t head = blank - request + 4;
        long body = body_size(request, head);
        if (body < 0) {
            send_all(fd, UNSIZED, sizeof UNSIZED - 1);
            return 0;
        }
        if (left < head + body)
            break;
        int wants_echo = memmem(request + head, body, "scope=echo", 10) != NULL;
        int sent = wants_echo ? echo(fd, request, head + body) : send_all(fd, token_answer, token_answer_size);
        if (!sent)
            return 0;
        done += head + body;
    }
    c->filled -= done;
    memmove(c->bytes, c->bytes + done, c->filled);
    return c->filled < MAX_REQUEST;
}

static void hang_up(int fd) {
    free(open_connections[fd]);
    open_connections[fd] = NULL;
    close(fd);
}

static void serve(int fd) {
    struct connection *c = open_connections[fd];
    ssize_t got = read(fd, c->bytes + c->filled, MAX_REQUEST - c->filled);
    if (got <= 0) {
        hang_up(fd);
        return;
    }
    c->filled += got;
    if (!answer_requests(fd, c))
        hang_up(fd);
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: backend PORT\n");
        return 2;
    }
    token_answer_size = sprintf(token_answer,
                                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
                                "Pragma: no-cache\r\nContent-Length: %zu\r\n\r\n%s",
                                sizeof TOKEN - 1, TOKEN);
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons(atoi(arguments[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096))
        stop("listen");
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = listener}, ready[MAX_EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &interest);
    for (;;) {
        int n = epoll_wait(poll, ready, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) {
                serve(fd);
                continue;
            }
            int accepted = accept(listener, NULL, NULL);
            if (accepted < 0)
                continue;
            if (accepted >= MAX_FD) {
                close(accepted);
                continue;
            }
            setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            open_connections[accepted] = calloc(1, sizeof(struct connection));
            interest.data.fd = accepted;
            epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &interest);
        }
    }
}
