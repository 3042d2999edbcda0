// Asks for "/" at a given rate and prints how long answers took, from when each request was due:
// a server that falls behind is not asked less, and what waits in here counts.
//
// paced PORT CONNECTIONS REQUESTS_A_SECOND SECONDS, prints: p50 p99 (µs) answers failed
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

struct client {
    int socket;
    int64_t due;
    size_t filled;
    char bytes[16384];
};

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int order(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

// Returns the length of a whole response, 0 for a part of one, -1 for none.
static long whole(struct client *client) {
    client->bytes[client->filled] = 0;
    char *end = strstr(client->bytes, "\r\n\r\n");
    if (!end)
        return 0;
    char *length = strcasestr(client->bytes, "content-length:");
    if (!length || length > end || strncmp(client->bytes, "HTTP/1.1 200", 12))
        return -1;
    size_t bytes = (size_t)(end - client->bytes) + 4 + strtoul(length + 15, NULL, 10);
    return client->filled >= bytes ? (long)bytes : 0;
}

int main(int count, char **arguments) {
    if (count != 5)
        return 2;
    int port = atoi(arguments[1]), clients = atoi(arguments[2]);
    double rate = atof(arguments[3]), seconds = atof(arguments[4]);
    size_t total = (size_t)(rate * seconds), sent = 0, done = 0, failed = 0, idle_count = 0;
    struct client *all = calloc((size_t)clients, sizeof *all), **idle = calloc((size_t)clients, sizeof *idle);
    int64_t *took = calloc(total, sizeof *took);
    int poll = epoll_create1(0);
    for (int n = 0; n < clients; n++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        all[n].socket = socket(AF_INET, SOCK_STREAM, 0);
        int one = 1;
        setsockopt(all[n].socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(all[n].socket, (struct sockaddr *)&to, sizeof to))
            return perror("connect"), 1;
        fcntl(all[n].socket, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[n]};
        epoll_ctl(poll, EPOLL_CTL_ADD, all[n].socket, &event);
        idle[idle_count++] = &all[n];
    }
    int64_t begin = now(), give_up = begin + (int64_t)((seconds + 10) * 1e9);
    while (done + failed < total && now() < give_up) {
        int64_t time = now();
        while (sent < total && idle_count > 0) {
            int64_t due = begin + (int64_t)((double)sent / rate * 1e9);
            if (due > time)
                break;
            struct client *client = idle[--idle_count];
            client->due = due;
            client->filled = 0;
            if (send(client->socket, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) != sizeof REQUEST - 1)
                failed++;
            sent++;
        }
        int64_t next = sent < total && idle_count > 0 ? begin + (int64_t)((double)sent / rate * 1e9) - now() : 1000000;
        struct timespec wait = {0, next > 0 ? next : 0};
        struct epoll_event events[64];
        int ready = epoll_pwait2(poll, events, 64, &wait, NULL);
        for (int n = 0; n < ready; n++) {
            struct client *client = events[n].data.ptr;
            ssize_t read = recv(client->socket, client->bytes + client->filled, sizeof client->bytes - 1 - client->filled, 0);
            if (read < 0 && errno == EAGAIN)
                continue;
            if (read > 0)
                client->filled += (size_t)read;
            long length = read > 0 ? whole(client) : -1;
            if (length == 0)
                continue;
            if (length < 0) {
                failed++;
                epoll_ctl(poll, EPOLL_CTL_DEL, client->socket, NULL);
                continue;
            }
            took[done++] = now() - client->due;
            idle[idle_count++] = client;
        }
    }
    if (!done)
        return 1;
    qsort(took, done, sizeof *took, order);
    printf("%.0f %.0f %zu %zu\n", took[done / 2] / 1e3, took[done * 99 / 100] / 1e3, done, total - done);
}
