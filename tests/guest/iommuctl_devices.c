// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommuctl_devices - iommuctl with the devices of this machine: what it says of them before, while and after a program
 * has them, and doctor's causes, each made to be true
 *
 * usage: iommuctl_devices [unsafe]	unsafe: the kernel was started with intremap=off
 */
#include "../../tools/testing/selftests/iommu/edu.h"
#include "tell.h"
#include <sys/stat.h>
#include <sys/wait.h>

#define IOMMUCTL	"/bin/iommuctl"
#define FOREIGN		"uio_pci_generic"
#define UNSAFE		"/sys/module/iommufd/parameters/allow_unsafe_interrupts"
#define NOBODY		65534

static char said[1 << 18];
static int status;

/* With what iommuctl said if it was not good */
__attribute__((format(printf, 2, 3)))
static void expect(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcheck(good, fmt, ap);
	va_end(ap);
	if (good)
		return;
	for (char *rest = said, *line; (line = strsep(&rest, "\n"));)
		printf("# %s\n", line);
	printf("# exit status %d\n", status);
}

/* Runs iommuctl as @uid with no more than @memlock bytes pinned; what it prints is said, status how it ended */
static void iommuctl_as(uid_t uid, rlim_t memlock, const char *arguments)
{
	const struct rlimit limit = { memlock, memlock };
	char words[256], *argv[16] = { (char *)"iommuctl" };
	size_t used = 0;
	int fds[2], n = 1;
	ssize_t got;
	pid_t pid;

	snprintf(words, sizeof(words), "%s", arguments);
	for (char *rest = words, *word; n < 15 && (word = strsep(&rest, " "));)
		argv[n++] = word;
	status = -1;
	said[0] = 0;
	if (pipe2(fds, O_CLOEXEC))
		return;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		setrlimit(RLIMIT_MEMLOCK, &limit);
		if (uid && setresuid(uid, uid, uid))
			_exit(126);
		execv(IOMMUCTL, argv);
		_exit(127);
	}
	close(fds[1]);
	while (used < sizeof(said) - 1 && (got = read(fds[0], said + used, sizeof(said) - 1 - used)) > 0)
		used += got;
	said[used] = 0;
	close(fds[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		status = WEXITSTATUS(status);
}

__attribute__((format(printf, 1, 2)))
static void iommuctl(const char *fmt, ...)
{
	char arguments[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(arguments, sizeof(arguments), fmt, ap);
	va_end(ap);
	iommuctl_as(0, RLIM_INFINITY, arguments);
}

/* Ended with @wanted, and said all of these, which NULL ends, in whatever order */
static bool ended(int wanted, ...)
{
	const char *text;
	bool good = status == wanted;
	va_list ap;

	va_start(ap, wanted);
	while (good && (text = va_arg(ap, const char *)))
		good = strstr(said, text);
	va_end(ap);
	return good;
}

/* The line of the table that begins with this device has this word in it */
static bool table_says(const char *bdf, const char *word)
{
	const char *line = strstr(said, bdf), *at = line ? strstr(line, word) : NULL;

	return at && at < strchrnul(line, '\n');
}

/* doctor's only problem, by its name for programs */
static bool problem_is(const char *name)
{
	const char *verdict = strstr(said, "\"verdict\": \"problem\"");
	char key[64];

	snprintf(key, sizeof(key), "\"check\": \"%s\"", name);
	return status == 1 && verdict && !strstr(verdict + 1, "\"verdict\": \"problem\"") && strstr(said, key);
}

static bool has_driver(const char *bdf, const char *name)
{
	char driver[64];

	return pci_driver(bdf, driver, sizeof(driver)) ? !name : name && !strcmp(driver, name);
}

static void give_to(const char *bdf, const char *driver)
{
	char path[128];

	if (!has_driver(bdf, NULL))
		pci_unbind(bdf);
	pci_attr_path(path, sizeof(path), bdf, "driver_override");
	write_file(path, driver);
	write_file("/sys/bus/pci/drivers_probe", bdf);
}

static void without_driver(const char *bdf)
{
	char path[128];

	if (!has_driver(bdf, NULL))
		pci_unbind(bdf);
	pci_attr_path(path, sizeof(path), bdf, "driver_override");
	write_file(path, "\n");
}

static void list_and_bind(const char *bdf)
{
	iommuctl("list");
	expect(ended(0, "DEVICE", NULL) && table_says(bdf, "not bound"), "list: without a driver it is not bound");
	iommuctl("doctor %s --json", bdf);
	expect(problem_is("not-bound") && strstr(said, "iommuctl bind"), "doctor: not bound, and how to bind it");

	iommuctl("bind %s", bdf);
	expect(ended(0, NULL) && has_driver(bdf, "vfio-pci"), "bind: the device belongs to vfio-pci");
	iommuctl("list %s", bdf);
	expect(ended(0, "vfio-pci", NULL) && table_says(bdf, "yes"), "list: a program can have it now");
	iommuctl("doctor %s", bdf);
	expect(ended(0, "A program can have it.", "attached", NULL), "doctor: nothing is in the way, it was tried");
}

static void reserved(const char *bdf)
{
	iommuctl("doctor %s --json --iova 0x%lx-0x%lx", bdf, MSI_WINDOW, MSI_WINDOW + PAGE - 1);
	expect(problem_is("reserved"), "doctor: a reserved region is in the way of a range");
	iommuctl("doctor %s --iova 0x40000000-0x4fffffff", bdf);
	expect(ended(0, NULL), "doctor: nothing is in the way of another range");
}

static void permissions(const char *bdf)
{
	char node[64], arguments[64];

	snprintf(arguments, sizeof(arguments), "doctor %s --json", bdf);
	iommuctl_as(NOBODY, RLIM_INFINITY, arguments);
	expect(problem_is("permission") && strstr(said, "setfacl"), "doctor: who may not open the node is told so");

	if (vfio_node(bdf, node, sizeof(node)) || chmod(node, 0666) || chmod("/dev/iommu", 0666))
		expect(false, "the node could not be given away");
	iommuctl_as(NOBODY, RLIM_INFINITY, arguments);
	expect(ended(0, NULL), "doctor: a user without privilege who may open the files can have it");
	snprintf(arguments, sizeof(arguments), "doctor %s --json --memory 64M", bdf);
	iommuctl_as(NOBODY, 16 * MIB, arguments);
	expect(problem_is("memlock") && strstr(said, "prlimit"), "doctor: the limit of locked memory is too low");
	iommuctl_as(NOBODY, 128 * MIB, arguments);
	expect(!strstr(said, "RLIMIT_MEMLOCK lets"), "doctor: one that suffices is not complained of");
	chmod(node, 0600);
	chmod("/dev/iommu", 0660);
}

static void in_use(unsigned int nth)
{
	int iommufd = iommu_open();
	char want[64], *memory;
	struct edu edu;
	uint32_t ioas = 0;

	memory = mmap(NULL, 3 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (iommufd < 0 || memory == MAP_FAILED || edu_open_bound(&edu, nth, iommufd) || ioas_alloc(iommufd, &ioas) ||
	    ioas_map_at(iommufd, ioas, memory, 3 * MIB, 0x10000000) || vfio_attach(edu.fd, ioas, NULL)) {
		expect(false, "a device with memory mapped");
		return;
	}
	iommuctl("list %s", edu.bdf);
	expect(table_says(edu.bdf, "in use"), "list: a device that a program has is in use");
	iommuctl("doctor %s --json", edu.bdf);
	expect(problem_is("in-use") && strstr(said, "iommuctl_device"), "doctor: who has it");
	iommuctl("unbind %s", edu.bdf);
	expect(status && has_driver(edu.bdf, "vfio-pci"), "unbind: not while a program has it");
	iommuctl("show");
	snprintf(want, sizeof(want), "%d", getpid());
	expect(ended(0, want, "iommuctl_device", edu.bdf, "3 MiB", NULL), "show: process, device, what is mapped");
	iommuctl("show --json");
	expect(ended(0, "\"mapped\": 3145728", edu.bdf, NULL), "show: the same for programs");
	iommuctl("show --areas");
	expect(ended(0, "0x10000000", NULL), "show: where it is mapped");
	iommuctl("graph");
	expect(ended(0, "digraph", edu.bdf, NULL), "graph: a picture that dot can draw");
	iommuctl("watch --interval 0.2 --count 2");
	expect(ended(0, want, NULL), "watch: the process is in the table");
	edu_close(&edu);
	close(iommufd);
	munmap(memory, 3 * MIB);

	iommuctl("show");
	expect(!strstr(said, edu.bdf), "show: nothing is left of it when it is closed");
	iommuctl("unbind %s", edu.bdf);
	expect(ended(0, NULL) && has_driver(edu.bdf, NULL), "unbind: the device has no driver again");
}

static void whole_group(void)
{
	char first[16], second[16];

	if (edu_find(EDU_FUNCTIONS, first) || edu_find(EDU_FUNCTIONS + 1, second)) {
		expect(false, "two functions of one group");
		return;
	}
	without_driver(first);
	give_to(second, FOREIGN);
	give_to(first, "vfio-pci");
	iommuctl("doctor %s --json", first);
	expect(problem_is("foreign-driver") && strstr(said, second) && strstr(said, FOREIGN) &&
	       strstr(said, "bind --group"), "doctor: which device of the group has a foreign driver");
	iommuctl("bind --group %s", first);
	expect(ended(0, NULL) && has_driver(second, "vfio-pci"), "bind: the others of the group too");
	iommuctl("doctor %s", first);
	expect(ended(0, NULL), "doctor: nothing is in the way then");
	iommuctl("unbind --group %s", first);
	expect(ended(0, NULL) && has_driver(first, NULL) && has_driver(second, NULL), "unbind: all of the group");
}

static void no_iommu(void)
{
	char bdf[16];

	for (unsigned int i = 0; !edu_find(i, bdf); i++) {
		if (pci_has_iommu(bdf))
			continue;
		without_driver(bdf);
		iommuctl("doctor %s --json", bdf);
		expect(problem_is("no-iommu"), "doctor: no IOMMU translates for it");
		iommuctl("list %s", bdf);
		expect(table_says(bdf, "no IOMMU"), "list: nor does list say anything else");
		return;
	}
	printf("skip no device without an IOMMU\n");
}

static void unsafe_interrupts(const char *bdf)
{
	iommuctl("bind %s", bdf);
	iommuctl("doctor %s --json", bdf);
	expect(problem_is("unsafe-interrupts") && strstr(said, "intremap=off"),
	       "doctor: interrupts are not isolated, and why");
	write_file(UNSAFE, "Y");
	iommuctl("doctor %s --json", bdf);
	expect(ended(0, "allowed here", NULL), "doctor: that was allowed, and the device can be had");
	write_file(UNSAFE, "N");
	iommuctl("unbind %s", bdf);
}

static void refusals(void)
{
	iommuctl("doctor 0000:7f:1f.7");
	expect(ended(1, "iommuctl: ", NULL), "a device that is not there");
	iommuctl("doctor x");
	expect(status && strstr(said, "iommuctl: "), "what is no device");
	iommuctl("frobnicate");
	expect(ended(2, "iommuctl: ", NULL), "a command that is not there");
	iommuctl_as(NOBODY, RLIM_INFINITY, "bind 0000:00:03.0");
	expect(ended(3, "iommuctl: ", NULL), "bind by who may not");
}

int main(int argc, char **argv)
{
	char bdf[16];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (access(IOMMUCTL, X_OK)) {
		printf("skip no iommuctl in this guest\n");
		return 4;
	}
	if (edu_find(EDU_ALONE, bdf) || !pci_has_iommu(bdf)) {
		expect(false, "an edu");
		return 1;
	}
	without_driver(bdf);
	if (argc > 1 && !strcmp(argv[1], "unsafe")) {
		unsafe_interrupts(bdf);
		return failed != 0;
	}
	list_and_bind(bdf);
	reserved(bdf);
	permissions(bdf);
	in_use(EDU_ALONE);
	whole_group();
	no_iommu();
	refusals();
	return failed != 0;
}
