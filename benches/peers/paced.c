/* Sends requests at a fixed rate whether or not they are answered in time, and tells how long each took from the moment
 * it was due: an open loop, so a proxy that stalls is charged for everybody who would have waited.
 *
 *   paced PORT RATE SECONDS CONNECTIONS REQUESTS
 *
 * REQUESTS is a file of whole HTTP/1.1 requests, each after a line with its length; they are sent in turn. The moments
 * are those of a Poisson process, the same ones in every run. Prints one line of JSON: microseconds at the usual
 * quantiles, how late the sender itself was, and how many answers were not 200. One thread, keep-alive connections
 * opened beforehand; a request that finds none free waits for one, and its clock runs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REQUESTS = 1 << 17, MAX_CONNECTIONS = 4096, MAX_ANSWER = 16384, MAX_EVENTS = 64 };

struct connection {
    int fd;
    int64_t due;
    size_t filled;
    char bytes[MAX_ANSWER];
};

static struct { const char *bytes; size_t size; } requests[MAX_REQUESTS];
static size_t known_requests;
static struct connection *connections[MAX_CONNECTIONS], *idle[MAX_CONNECTIONS];
static int idle_count;
static int64_t *took, *late;
static size_t sent, answered, other;

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* An even distribution in (0, 1], by a generator that is the same everywhere. */
static double even(void) {
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return ((state >> 11) + 1) * 0x1p-53;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) stop(path);
    size_t size;
    while (known_requests < MAX_REQUESTS && fscanf(file, "%zu", &size) == 1) {
        char *bytes = malloc(size);
        if (!bytes || fgetc(file) != '\n' || fread(bytes, 1, size, file) != size) stop("a request ends before its length");
        requests[known_requests].bytes = bytes;
        requests[known_requests++].size = size;
    }
    fclose(file);
    if (!known_requests) stop("no requests");
}

static void open_connection(int poll, int port, int at) {
    struct connection *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    if (!c || (c->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0 || connect(c->fd, (void *)&address, sizeof address)) stop("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event wish = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &wish)) stop("epoll_ctl");
    connections[at] = idle[idle_count++] = c;
}

static void send_one(int64_t due) {
    struct connection *c = idle[--idle_count];
    size_t at = sent % known_requests;
    c->due = due, c->filled = 0;
    late[sent++] = now() - due;
    if (send(c->fd, requests[at].bytes, requests[at].size, MSG_NOSIGNAL) != (ssize_t)requests[at].size) stop("send");
}

/* Whether a whole answer has come: a head, and as many bytes after it as Content-Length says. */
static int whole(struct connection *c) {
    c->bytes[c->filled] = 0;
    char *end = strstr(c->bytes, "\r\n\r\n"), *length = strcasestr(c->bytes, "\r\ncontent-length:");
    if (!end) return 0;
    if (!length || length > end) stop("an answer without Content-Length");
    return c->filled >= (size_t)(end + 4 - c->bytes) + strtoul(length + 17, NULL, 10);
}

static void receive(struct connection *c) {
    ssize_t more = recv(c->fd, c->bytes + c->filled, MAX_ANSWER - 1 - c->filled, 0);
    if (more <= 0) stop("the proxy closed a connection");
    c->filled += more;
    if (!whole(c)) return;
    other += strncmp(c->bytes + 9, "200", 3) != 0;
    took[answered++] = now() - c->due;
    idle[idle_count++] = c;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double at(const int64_t *sorted, size_t count, double quantile) {
    return sorted[(size_t)((count - 1) * quantile)] / 1e3;
}

int main(int argc, char **argv) {
    if (argc != 6) return fprintf(stderr, "paced PORT RATE SECONDS CONNECTIONS REQUESTS\n"), 2;
    double rate = atof(argv[2]), seconds = atof(argv[3]);
    int count = atoi(argv[4]), poll = epoll_create1(0);
    if (count < 1 || count > MAX_CONNECTIONS || rate <= 0 || seconds <= 0) return fprintf(stderr, "out of range\n"), 2;
    prctl(PR_SET_TIMERSLACK, 1UL);
    read_requests(argv[5]);
    size_t room = rate * seconds * 2 + 1000;
    took = malloc(room * sizeof *took), late = malloc(room * sizeof *late);
    if (!took || !late) stop("malloc");
    for (int i = 0; i < count; i++) open_connection(poll, atoi(argv[1]), i);

    int64_t begin = now() + 10000000, end = begin + seconds * 1e9, due = begin;
    while (answered < sent || due < end) {
        while (due < end && due <= now() && idle_count) {
            send_one(due);
            due += -log(even()) / rate * 1e9 + 1;
        }
        int64_t wait = due < end && idle_count ? due - now() : 1000000000;
        if (wait < 0) wait = 0;
        struct timespec patience = {wait / 1000000000, wait % 1000000000};
        struct epoll_event events[MAX_EVENTS];
        int ready = epoll_pwait2(poll, events, MAX_EVENTS, &patience, NULL);
        for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
        if (now() > end + 30000000000LL) stop("answers are missing 30 s after the end");
    }
    qsort(took, answered, sizeof *took, by_size);
    qsort(late, sent, sizeof *late, by_size);
    printf("{\"requests\": %zu, \"not_200\": %zu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"most\": %.1f, \"late_p99\": %.1f}\n",
           answered, other, at(took, answered, .5), at(took, answered, .9), at(took, answered, .99), at(took, answered, .999),
           at(took, answered, 1), at(late, sent, .99));
    return 0;
}
