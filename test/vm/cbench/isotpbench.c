/*
 * What a C program makes of CAN_ISOTP sockets, to compare isotpnet's benchmarks with:
 *
 *	isotpbench throughput|roundtrip INTERFACE FD BYTES COUNT FRAME_TXTIME
 *
 * throughput: COUNT messages of BYTES from one socket to another, each written, waited
 * for (CAN_ISOTP_WAIT_TX_DONE) and read. roundtrip: COUNT messages there and back, with
 * a thread that answers. FRAME_TXTIME is in nanoseconds. It prints how many nanoseconds
 * each took, and how many of those the processor worked.
 */
#include <linux/can.h>
#include <linux/can/isotp.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef CAN_ISOTP_FRAME_TXTIME_ZERO /* since Linux 5.18 */
#define CAN_ISOTP_FRAME_TXTIME_ZERO 0xFFFFFFFF
#endif

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static int open_socket(const char *name, int fd, unsigned txtime, canid_t tx, canid_t rx)
{
	struct can_isotp_options opts = {
		.flags = CAN_ISOTP_TX_PADDING | CAN_ISOTP_WAIT_TX_DONE,
		.frame_txtime = txtime ? txtime : CAN_ISOTP_FRAME_TXTIME_ZERO,
		.txpad_content = 0xCC,
	};
	struct can_isotp_ll_options ll = { .mtu = CANFD_MTU, .tx_dl = 64 };
	struct sockaddr_can addr = { .can_family = AF_CAN, .can_ifindex = if_nametoindex(name) };
	int s = socket(PF_CAN, SOCK_DGRAM, CAN_ISOTP);

	addr.can_addr.tp.tx_id = tx;
	addr.can_addr.tp.rx_id = rx;
	check(s >= 0, "socket");
	check(!setsockopt(s, SOL_CAN_ISOTP, CAN_ISOTP_OPTS, &opts, sizeof(opts)), "CAN_ISOTP_OPTS");
	if (fd)
		check(!setsockopt(s, SOL_CAN_ISOTP, CAN_ISOTP_LL_OPTS, &ll, sizeof(ll)), "CAN_ISOTP_LL_OPTS");
	check(!bind(s, (struct sockaddr *)&addr, sizeof(addr)), "bind");
	return s;
}

static int a, b, bytes;
static long count;

static void *answer(void *unused)
{
	char *p = malloc(bytes);

	for (long i = 0; i < count; i++) {
		check(read(b, p, bytes) == bytes, "read");
		check(write(b, p, bytes) == bytes, "write");
	}
	free(p);
	return unused;
}

static long long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	check(argc == 7, "six arguments are needed");
	int roundtrip = !strcmp(argv[1], "roundtrip");
	int fd = atoi(argv[3]);
	unsigned txtime = strtoul(argv[6], NULL, 10);
	pthread_t thread;
	char *p;

	bytes = atoi(argv[4]);
	count = atol(argv[5]);
	p = calloc(1, bytes);
	a = open_socket(argv[2], fd, txtime, 0x7E0, 0x7E8);
	b = open_socket(argv[2], fd, txtime, 0x7E8, 0x7E0);
	long long start = now(CLOCK_MONOTONIC), work = now(CLOCK_PROCESS_CPUTIME_ID);
	if (roundtrip)
		check(!pthread_create(&thread, NULL, answer, NULL), "pthread_create");
	for (long i = 0; i < count; i++) {
		check(write(a, p, bytes) == bytes, "write");
		check(read(roundtrip ? a : b, p, bytes) == bytes, "read");
	}
	if (roundtrip)
		pthread_join(thread, NULL);
	printf("%lld %lld\n", (now(CLOCK_MONOTONIC) - start) / count,
	       (now(CLOCK_PROCESS_CPUTIME_ID) - work) / count);
	return 0;
}
