// SPDX-License-Identifier: GPL-2.0-only
/*
 * init - PID 1 of the test guest
 *
 * Runs the programs named on the kernel command line (behind "--"), shows what they print on the console, and reports
 * over a channel of its own, another serial port. The channel's last line is the verdict: it is written after the
 * kernel log was searched for splats and, on request, after the kernel's leak scan. tests/verdict judges what arrives.
 *
 *	t=PROG[,ARG...][;...]	run /bin/PROG, then what follows each semicolon; may be repeated
 *	hp=N			reserve N huge pages of 2 MiB first
 *	tmo=N			kill a program after N seconds
 *	hide=DIR		put an empty directory over DIR first
 *	lines			report every line of the programs, for a judge that wants each test by name
 *	kmemleak		search for leaked memory after the programs
 *	shell			an interactive shell instead of programs
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <sys/io.h>
#endif
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_PROGRAMS	128
#define MAX_SPLATS	64
/*
 * memory that a run may leave behind in caches of the kernel; pinned pages and huge pages are counted exactly. Each CPU
 * keeps up to 28 MiB of free pages for itself (half of the low watermark, which transparent huge pages raise), and the
 * disk in memory what was swapped to it. KASAN keeps up to a 32nd of all memory in quarantine, and the stacks of who
 * allocated and freed what.
 */
#define FREE_SLACK_KB		(80 * 1024)
#define FREE_SLACK_DEBUG_KB	(192 * 1024)

/* ---- the machine: where the console and the channel are, and how QEMU ends with an exit status ---- */

#if defined(__x86_64__)
#define CONSOLE	"/dev/ttyS0"
#define CHANNEL	"/dev/ttyS1"

/* isa-debug-exit makes 2n + 1 of what is written */
static void exit_qemu(unsigned int status)
{
	if (!ioperm(0xf4, 4, 1))
		outl(status / 2, 0xf4);
}
#elif defined(__aarch64__)
#define CONSOLE	"/dev/ttyAMA0"
#define CHANNEL	"/dev/ttyS0"

/* semihosting: SYS_EXIT, ADP_Stopped_ApplicationExit */
static void exit_qemu(unsigned int status)
{
	const uint64_t reason[2] = { 0x20026, status };

	asm volatile("mov x0, #0x18; mov x1, %0; hlt #0xf000" : : "r" (reason) : "x0", "x1", "memory");
}
#endif

struct count {
	int pass, fail, skip;
};

struct state {
	long huge_free, pins, objects, free_kb;
};

static int channel = -1;
static bool report_lines;
static char *splats[MAX_SPLATS];

__attribute__((format(printf, 1, 2)))
static void report(const char *fmt, ...)
{
	char line[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (channel >= 0 && write(channel, line, n) != n)
		printf("init: the result channel does not take \"%.*s\"\n", n - 1, line);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int rc = fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

static void mount_all(void)
{
	static const struct {
		const char *type, *dir, *options;
	} table[] = {
		{ "devtmpfs", "/dev", NULL },
		{ "proc", "/proc", NULL },
		{ "sysfs", "/sys", NULL },
		{ "debugfs", "/sys/kernel/debug", NULL },
		{ "tmpfs", "/tmp", NULL },
		{ "tmpfs", "/dev/shm", NULL },
		{ "hugetlbfs", "/dev/hugepages", NULL },
		{ "cgroup2", "/sys/fs/cgroup", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		mkdir(table[i].dir, 0755);
		if (mount(table[i].type, table[i].dir, table[i].type, 0, table[i].options) && errno != EBUSY)
			printf("init: mount %s: %s\n", table[i].dir, strerror(errno));
	}
}

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static void open_channel(void)
{
	struct termios t;

	channel = open(CHANNEL, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (channel < 0)
		return;
	if (!tcgetattr(channel, &t)) {
		cfmakeraw(&t);
		tcsetattr(channel, TCSANOW, &t);
	}
}

static void read_splats(void)
{
	char line[256];
	FILE *f = fopen("/etc/splats", "r");

	for (int i = 0; f && i < MAX_SPLATS && fgets(line, sizeof(line), f); ) {
		line[strcspn(line, "\n")] = 0;
		if (line[0])
			splats[i++] = strdup(line);
	}
	if (f)
		fclose(f);
}

/* the number behind NAME at the start of a line of a file like /proc/meminfo; -1 when there is none */
static long number_of(const char *path, const char *name)
{
	char line[512];
	long value = -1;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && !isalnum(line[strlen(name)]) && line[strlen(name)] != '_')
			value = strtol(line + strlen(name) + 1, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

/* live objects of the subsystem's own caches; shrinking first, as a free object of a CPU's slab counts as live */
static long live_objects(void)
{
	char line[512], name[64], path[128];
	long active, sum = 0;
	FILE *f;

	for (int pass = 0; pass < 2; pass++) {
		f = fopen("/proc/slabinfo", "r");
		sum = 0;
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "iommufd_%40s %ld", name, &active) != 2)
				continue;
			snprintf(path, sizeof(path), "/sys/kernel/slab/iommufd_%s/shrink", name);
			put(path, "1");
			sum += active;
		}
		if (f)
			fclose(f);
	}
	return sum;
}

static struct state take_state(void)
{
	put("/proc/sys/vm/drop_caches", "3");
	/* the counters of vmstat lag behind on each CPU */
	put("/proc/sys/vm/stat_refresh", "1");
	return (struct state) {
		.huge_free = number_of("/proc/meminfo", "HugePages_Free:"),
		.pins = number_of("/proc/vmstat", "nr_foll_pin_acquired") -
			number_of("/proc/vmstat", "nr_foll_pin_released"),
		.objects = live_objects(),
		.free_kb = number_of("/proc/meminfo", "MemFree:"),
	};
}

/* what the programs took must be back; freeing may wait for RCU and for work items, so it gets some time */
static int compare_state(const struct state *before)
{
	long slack = access("/sys/kernel/debug/kmemleak", F_OK) ? FREE_SLACK_KB : FREE_SLACK_DEBUG_KB;
	struct state after;

	for (int i = 0; i < 300; i++) {
		after = take_state();
		if (after.huge_free == before->huge_free && after.pins == before->pins &&
		    after.objects == before->objects && after.free_kb >= before->free_kb - slack)
			return 0;
		usleep(100000);
	}
	report("fail init: not given back: %s %ld -> %ld, %s %ld -> %ld, %s %ld -> %ld, %s %ld -> %ld",
	       "huge pages", before->huge_free, after.huge_free, "pinned pages", before->pins, after.pins,
	       "objects", before->objects, after.objects, "free kB", before->free_kb, after.free_kb);
	return 1;
}

/* TAP, as kselftests print it, and the demo's "ok ..." and "FAIL ..." */
static void count_line(struct count *c, const char *prog, const char *line, int *plan, char *reason, size_t size)
{
	const char *skip = strstr(line, "# SKIP");

	if (sscanf(line, "1..%d", plan) == 1)
		return;
	if (!strncmp(line, "#      SKIP", 11)) {
		snprintf(reason, size, "%s", line + 11 + strspn(line + 11, " "));
	} else if (!strncmp(line, "ok ", 3) && skip) {
		c->skip++;
		skip += 6 + strspn(skip + 6, " ");
		report("skip %s: %s", prog, *skip ? skip : *reason ? reason : "no reason given");
		*reason = 0;
	} else if (!strncmp(line, "skip ", 5)) {
		c->skip++;
		report("skip %s: %s", prog, line + 5);
	} else if (!strncmp(line, "ok ", 3)) {
		c->pass++;
	} else if (!strncmp(line, "not ok ", 7) || !strncmp(line, "FAIL ", 5)) {
		c->fail++;
		report("fail %s: %s", prog, line);
	}
}

/* everything that a program started is gone before the next one runs */
static void reap_all(void)
{
	double limit = now() + 120;

	kill(-1, SIGKILL);
	while (now() < limit) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return;
		if (!pid)
			usleep(10000);
	}
	printf("init: processes that SIGKILL does not end were left behind\n");
}

static pid_t start(char **argv, int out)
{
	char path[128];
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(out, 1);
	dup2(out, 2);
	snprintf(path, sizeof(path), "/bin/%s", argv[0]);
	if (chdir("/tmp") == 0)
		execv(path, argv);
	printf("not ok 1 exec %s: %s\n", path, strerror(errno));
	fflush(stdout);
	_exit(127);
}

static int run_program(char *spec, int timeout)
{
	char *argv[32] = { NULL }, line[1024] = "", reason[256] = "", c;
	int argc = 0, plan = -1, status = 0, used = 0, fds[2];
	struct count n = { 0 };
	bool ended = false, eof = false;
	double begin = now();
	pid_t pid;

	for (char *p = strtok(spec, ","); p && argc < 31; p = strtok(NULL, ","))
		argv[argc++] = p;
	if (!argc || pipe2(fds, O_CLOEXEC))
		return 1;
	printf("init: run %s\n", argv[0]);
	pid = start(argv, fds[1]);
	close(fds[1]);
	while (!eof) {
		struct pollfd p = { .fd = fds[0], .events = POLLIN };

		if (now() > begin + timeout)
			break;
		if (!ended && waitpid(pid, &status, WNOHANG) == pid)
			ended = true;
		if (!poll(&p, 1, 50)) {
			/* a child that outlives the program may keep the pipe open */
			if (ended)
				break;
			continue;
		}
		do {
			if (read(fds[0], &c, 1) <= 0) {
				eof = true;
				c = '\n';
			}
			if (c == '\n' && used) {
				line[used] = 0;
				puts(line);
				if (report_lines)
					report("line %s: %s", argv[0], line);
				count_line(&n, argv[0], line, &plan, reason, sizeof(reason));
				used = 0;
			} else if (c != '\n' && c != '\r' && used < (int)sizeof(line) - 1) {
				line[used++] = c;
			}
		} while (!eof && poll(&p, 1, 0) > 0);
	}
	close(fds[0]);
	/* output ended: the program has until its time limit to end as well */
	while (!ended && now() <= begin + timeout) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			ended = true;
		else
			usleep(10000);
	}
	if (!ended) {
		n.fail++;
		report("fail %s: killed after %d s", argv[0], timeout);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 4 && !n.pass && !n.fail) {
		/* the kselftests' exit code for "all skipped"; one that names no test says why in its last line */
		if (!n.skip) {
			n.skip++;
			report("skip %s: %s", argv[0], line);
		}
	} else if (status && !n.fail) {
		n.fail++;
		report("fail %s: %s %d", argv[0], WIFEXITED(status) ? "exit code" : "killed by signal",
		       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
	if (!n.fail && n.pass + n.skip < plan) {
		report("fail %s: %d tests were announced, %d reported", argv[0], plan, n.pass + n.skip);
		n.fail++;
	}
	reap_all();
	report("result %s pass=%d fail=%d skip=%d seconds=%.1f", argv[0], n.pass, n.fail, n.skip, now() - begin);
	printf("init: %s: %d passed, %d failed, %d skipped\n", argv[0], n.pass, n.fail, n.skip);
	return n.fail || !(n.pass + n.skip);
}

static bool is_splat(const char *text)
{
	for (int i = 0; i < MAX_SPLATS && splats[i]; i++)
		if (strstr(text, splats[i]))
			return true;
	return false;
}

static void count_kunit(struct count *c, const char *text, char *suite, size_t size)
{
	const char *ok = "    ok ", *bad = "    not ok ";

	if (!strncmp(text, "    # Subtest: ", 15)) {
		snprintf(suite, size, "%s", text + 15);
	} else if (!strncmp(text, ok, strlen(ok))) {
		const char *skip = strstr(text, "# SKIP");

		if (!skip) {
			c->pass++;
			return;
		}
		c->skip++;
		report("skip kunit: %s: %s", suite, skip + 6 + strspn(skip + 6, " "));
	} else if (!strncmp(text, bad, strlen(bad))) {
		c->fail++;
		report("fail kunit: %s: %s", suite, text + 4);
	}
}

/* every record of the kernel log since boot: splats, and the results of the unit tests that ran at boot */
static int read_kernel_log(void)
{
	char record[8192], suite[128] = "", *text, *end;
	unsigned long steps;
	struct count kunit = { 0 };
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), bad = 0;
	ssize_t n;

	if (fd < 0) {
		report("fail init: /dev/kmsg: %s", strerror(errno));
		return 1;
	}
	for (;;) {
		n = read(fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE) {
			report("fail init: the kernel log overflowed, splats may be lost");
			bad++;
			continue;
		}
		if (n <= 0)
			break;
		record[n] = 0;
		text = strchr(record, ';');
		if (!text)
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = 0;
		if (is_splat(text)) {
			report("splat %s", text);
			bad++;
		}
		if (sscanf(text, "iommufd: model: %lu steps", &steps) == 1)
			report("steps %lu", steps);
		count_kunit(&kunit, text, suite, sizeof(suite));
	}
	close(fd);
	report("result kunit pass=%d fail=%d skip=%d", kunit.pass, kunit.fail, kunit.skip);
	return bad + kunit.fail;
}

/* an object is reported when two scans found no reference to it and it is five seconds old */
static int search_leaks(void)
{
	const char *path = "/sys/kernel/debug/kmemleak";
	char line[512];
	int leaks = 0;
	FILE *f;

	sleep(6);
	if (put(path, "scan") || put(path, "scan")) {
		report("fail init: no leak scan: %s", strerror(errno));
		return 1;
	}
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		fputs(line, stdout);
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "unreferenced object", 19))
			leaks++;
		report("leak %s", line);
	}
	if (f)
		fclose(f);
	return leaks;
}

static void interact(void)
{
	pid_t pid;

	if (symlink(CHANNEL, "/dev/host"))
		printf("init: /dev/host: %s\n", strerror(errno));
	pid = fork();
	if (!pid) {
		/* the console itself cannot be a controlling terminal: no Ctrl-C */
		setsid();
		for (int i = 0, fd = open(CONSOLE, O_RDWR); fd >= 0 && i < 3; i++)
			dup2(fd, i);
		setenv("HOME", "/tmp", 1);
		setenv("PS1", "guest:\\w# ", 1);
		printf("\niommuctl and the test programs are in /bin; /dev/host is the file build/shell.out.\n");
		printf("\"exit\" or Ctrl-D powers off, Ctrl-A X stops QEMU.\n");
		execl("/bin/busybox", "busybox", "sh", "-c",
		      "/bin/busybox --install -s /bin; cd /tmp; exec sh -l", NULL);
		_exit(127);
	}
	while (waitpid(-1, NULL, 0) != pid)
		;
}

static void __attribute__((noreturn)) leave(int rc)
{
	fflush(stdout);
	tcdrain(1);
	if (channel >= 0)
		tcdrain(channel);
	sync();
	exit_qemu(rc ? 35 : 33);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	char *programs[MAX_PROGRAMS], plan[4096] = "";
	int count = 0, timeout = 300, bad = 0;
	bool leaks = false, interactive = false;
	struct state before;

	mount_all();
	open_console();
	open_channel();
	read_splats();
	setenv("PATH", "/bin", 1);
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "t=", 2)) {
			char *rest = argv[i] + 2, *spec;

			while (count < MAX_PROGRAMS && (spec = strsep(&rest, ";"))) {
				size_t used = strlen(plan);

				programs[count++] = spec;
				snprintf(plan + used, sizeof(plan) - used, " %.*s", (int)strcspn(spec, ","), spec);
			}
		} else if (!strncmp(argv[i], "hp=", 3)) {
			put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", argv[i] + 3);
		} else if (!strncmp(argv[i], "hide=", 5)) {
			if (mount("tmpfs", argv[i] + 5, "tmpfs", 0, NULL))
				printf("init: mount %s: %s\n", argv[i] + 5, strerror(errno));
		} else if (!strncmp(argv[i], "tmo=", 4)) {
			timeout = atoi(argv[i] + 4);
		} else if (!strcmp(argv[i], "kmemleak")) {
			leaks = true;
		} else if (!strcmp(argv[i], "lines")) {
			report_lines = true;
		} else if (!strcmp(argv[i], "shell")) {
			interactive = true;
		}
	}
	if (interactive) {
		interact();
		reboot(RB_POWER_OFF);
	}
	report("plan%s", plan);
	before = take_state();
	for (int i = 0; i < count; i++)
		bad += run_program(programs[i], timeout);
	bad += compare_state(&before);
	if (leaks)
		bad += search_leaks();
	bad += read_kernel_log();
	report("verdict %s", bad ? "fail" : "pass");
	leave(bad);
}
