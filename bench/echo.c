/*
 * Sends each datagram back as an answer: the least that a DNS server over UDP can cost.
 *
 * It takes what waits, at most BATCH datagrams, with one recvmmsg, sets the bit that makes a query an
 * answer, and sends all with one sendmmsg. Nothing is read, looked up or counted, so its cost is that of
 * the system calls and the network stack, under the same load and on the same core as the servers'.
 *
 * Usage: echo PORT (on 127.0.0.1)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 32, BYTES = 4096, QR_AT = 2, QR = 0x80 };

static char data[BATCH][BYTES];
static struct sockaddr_in peers[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr headers[BATCH];

static void prepare(int i, size_t len) {
    vectors[i] = (struct iovec){.iov_base = data[i], .iov_len = len};
    headers[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_namelen = sizeof peers[i],
                                         .msg_iov = &vectors[i], .msg_iovlen = 1};
}

int main(int argc, char **argv) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sock = socket(AF_INET, SOCK_DGRAM, 0), bytes = 4 << 20;
    own.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (bind(sock, (struct sockaddr *)&own, sizeof own) != 0) {
        perror("bind");
        return 1;
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++)
            prepare(i, BYTES);
        int count = recvmmsg(sock, headers, BATCH, MSG_WAITFORONE, NULL);
        if (count < 0) {
            perror("recvmmsg");
            return 1;
        }
        for (int i = 0; i < count; i++) {
            prepare(i, headers[i].msg_len);
            data[i][QR_AT] |= QR;
        }
        for (int sent = 0, more; sent < count; sent += more)
            if ((more = sendmmsg(sock, headers + sent, count - sent, 0)) <= 0)
                more = 1;
    }
}
