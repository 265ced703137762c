// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmm - QEMU as a client: a virtual machine with two devices passed through, and what it goes through
 *
 * usage: vmm-WAY-PAGES-ACCELERATOR[-short]	its name says which virtual machine
 *
 *	WAY		node: QEMU opens /dev/iommu and the device nodes. passed: it gets both as open files, and has no
 *			rights of its own. type1: it opens /dev/vfio/vfio and the groups. compat: the same, but
 *			/dev/vfio/vfio is a name of /dev/iommu. hidden: and here VFIO opens an iommufd for it.
 *	PAGES		small: its memory is in pages of 4 KiB; huge: of 2 MiB
 *	ACCELERATOR	kvm or tcg
 *	short		it boots once, and that is all
 *
 * The machine boots, is reset and boots again; then its NVMe controller is unplugged, plugged in again, and taken away
 * by the host. In the end both devices are the host's, which finds on the disk what the virtual machine wrote. Inside,
 * inner.c uses the devices. QEMU says nothing on its standard error, or something is wrong.
 */
#include "edu.h"
#include "vmm.h"

#include <dirent.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MEMORY_MIB	128
/* what QEMU maps for DMA beside the memory: firmware, ROMs, each rounded up */
#define FIRMWARE	(8 * MIB)
#define PATIENCE	600	/* seconds; a boot takes 4 with KVM and 50 without */
#define TEXT(x)		#x
#define STRING(x)	TEXT(x)
#define NOBODY		65534
#define LINE		512
#define IOMMUFD_CONTAINER "/sys/module/vfio/parameters/iommufd_container"
/* in the process that becomes QEMU: files that it gets, beyond what is open there */
#define FIRST_FD	50

enum stream { CONSOLE, COMPLAINTS, MONITOR, STREAMS };

struct buffer {
	int fd;
	int used;
	char text[LINE];
};

/**
 * struct vmm - A QEMU and its machine
 * @iommufd: it is told to use an iommufd
 * @passed: the files are opened here
 * @compat: /dev/vfio/vfio is a name of /dev/iommu
 * @hidden: VFIO makes an iommufd of each container
 * @huge: memory of the machine in huge pages
 * @brief: it boots once only
 * @taken: the host takes the controller away
 * @accelerator: argument of QEMU
 * @nvme: PCI address
 * @edu: PCI address
 * @pid: QEMU, 0 when it has ended
 * @monitor: where commands are written
 * @in: what QEMU writes, its console is the machine's
 * @complaints: lines on its standard error
 * @checks: results of the machine since it was asked for them
 */
struct vmm {
	bool iommufd, passed, compat, hidden, huge, brief;
	bool taken;
	const char *accelerator;
	char nvme[16], edu[16];
	pid_t pid;
	int monitor;
	struct buffer in[STREAMS];
	int complaints, checks;
};

static int checks_passed, checks_failed;

static bool check(bool good, const char *what)
{
	if (good)
		checks_passed++;
	else
		checks_failed++;
	printf("%sok %d %s\n", good ? "" : "not ", checks_passed + checks_failed, what);
	fflush(stdout);
	return good;
}

/* ---- the devices, seen by the host ---- */

/* the controller that has the disk, as the host's driver calls it: "nvme1" */
static bool find_controller(char name[16])
{
	char path[64], serial[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir = opendir("/sys/class/nvme");

	while (dir && !found && (entry = readdir(dir))) {
		snprintf(name, 16, "%.15s", entry->d_name);
		snprintf(path, sizeof(path), "/sys/class/nvme/%s/serial", name);
		found = read_file(path, serial, sizeof(serial)) > 0 && strstr(serial, DISK_SERIAL);
	}
	if (dir)
		closedir(dir);
	return found;
}

static unsigned long bus_of(const char *bdf)
{
	return strtoul(bdf + strlen("0000:"), NULL, 16);
}

/* the NVMe controller, and the edu on the bus behind it */
static bool find_devices(struct vmm *vmm)
{
	char name[16], path[64], link[128], *bdf;
	ssize_t n;

	if (!find_controller(name))
		return false;
	snprintf(path, sizeof(path), "/sys/class/nvme/%s/device", name);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	bdf = strrchr(link, '/');
	if (!bdf)
		return false;
	snprintf(vmm->nvme, sizeof(vmm->nvme), "%.12s", bdf + 1);
	for (unsigned int nth = 0; !edu_find(nth, vmm->edu); nth++)
		if (bus_of(vmm->edu) == bus_of(vmm->nvme) + 1)
			return true;
	return false;
}

/* back to the driver of the host */
static int pci_use_host(const char *bdf)
{
	char path[128], driver[64];
	int rc;

	rc = pci_driver(bdf, driver, sizeof(driver)) ? 0 : pci_unbind(bdf);
	if (rc)
		return rc;
	pci_attr_path(path, sizeof(path), bdf, "driver_override");
	rc = write_file(path, "\n");
	return rc ?: write_file("/sys/bus/pci/drivers_probe", bdf);
}

/* how often the disk was written to, -1 when it holds anything else than that wrote */
static int disk_writes(void)
{
	static char disk[DISK_BYTES] __attribute__((aligned(4096)));
	unsigned int writes;
	char name[16], path[32];
	int fd = -1;

	for (int i = 0; i < 100 && fd < 0; i++) {
		if (find_controller(name)) {
			snprintf(path, sizeof(path), "/dev/%.15sn1", name);
			fd = open(path, O_RDONLY | O_DIRECT);
		}
		if (fd < 0)
			sleep_ms(100);
	}
	if (fd < 0 || read(fd, disk, sizeof(disk)) != sizeof(disk))
		return -1;
	close(fd);
	if (sscanf(disk, DISK_LABEL, &writes) != 1)
		return 0;
	return disk_is(disk, writes) ? (int)writes : -1;
}

/* nobody holds a device whose node can be opened and bound */
static int bind_here(const char *bdf)
{
	int iommufd = iommu_open(), rc;
	struct edu device;

	rc = edu_open_at(&device, bdf);
	if (!rc)
		rc = vfio_bind(device.fd, iommufd, &device.id);
	close(device.fd);
	close(iommufd);
	return rc;
}

/* ---- QEMU ---- */

static void open_for_qemu(const char *path, int as)
{
	int fd = open(path, O_RDWR);

	if (fd < 0 || dup2(fd, as) != as) {
		perror(path);
		_exit(126);
	}
	if (fd != as)
		close(fd);
}

static void open_node_for_qemu(const char *bdf, int as)
{
	char node[64];

	if (vfio_node(bdf, node, sizeof(node)))
		_exit(126);
	open_for_qemu(node, as);
}

/* All that it may do from here on is what the files allow, and to pin the memory of the machine, once. */
static void drop_rights(void)
{
	struct rlimit limit = { MEMORY_MIB * MIB + FIRMWARE, MEMORY_MIB * MIB + FIRMWARE };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		_exit(126);
}

/* "host=ADDRESS", or the files that were opened: the iommufd is the first, and each device has one more */
static void device_of(const struct vmm *vmm, char *text, size_t size, const char *bdf, int nth)
{
	if (vmm->passed)
		snprintf(text, size, "fd=%d", FIRST_FD + 1 + nth);
	else
		snprintf(text, size, "host=%s", bdf);
	if (vmm->iommufd)
		strncat(text, ",iommufd=i", size - strlen(text) - 1);
}

static void become_qemu(const struct vmm *vmm, int console, int complaints)
{
	const char *argv[64] = {
		"/vmm/qemu", "-L", "/vmm/share", "-nodefaults", "-no-user-config", "-display", "none", "-smp", "1",
		"-m", STRING(MEMORY_MIB), "-kernel", "/vmm/kernel", "-initrd", "/vmm/inner.cpio", "-append",
		"console=ttyS0 loglevel=4 panic=-1 nokaslr norandmaps mitigations=off random.trust_cpu=on tsc=reliable",
		"-serial", "stdio", "-qmp", "pipe:/tmp/qmp",
		/* the kernel drives slots by PCIe itself, not by ACPI */
		"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
		"-device", "pcie-root-port,id=port0,chassis=1,addr=4",
	};
	char iommufd[64], nvme[128], edu[128];
	int n = 0;

	while (argv[n])
		n++;
	argv[n++] = "-accel";
	argv[n++] = vmm->accelerator;
	argv[n++] = "-cpu";
	argv[n++] = !strcmp(vmm->accelerator, "kvm") ? "host" : "qemu64";
	argv[n++] = "-machine";
	argv[n++] = vmm->huge ? "q35,memory-backend=memory" : "q35";
	if (vmm->huge) {
		argv[n++] = "-object";
		argv[n++] = "memory-backend-memfd,id=memory,hugetlb=on,hugetlbsize=2M,size=" STRING(MEMORY_MIB) "M";
	}
	if (vmm->iommufd) {
		snprintf(iommufd, sizeof(iommufd), "iommufd,id=i%s", vmm->passed ? ",fd=" STRING(FIRST_FD) : "");
		argv[n++] = "-object";
		argv[n++] = iommufd;
	}
	device_of(vmm, nvme, sizeof(nvme), vmm->nvme, 0);
	strcat(nvme, ",driver=vfio-pci,bus=port0,id=nvme");
	device_of(vmm, edu, sizeof(edu), vmm->edu, 1);
	strcat(edu, ",driver=vfio-pci,addr=5,id=edu");
	argv[n++] = "-device";
	argv[n++] = nvme;
	argv[n++] = "-device";
	argv[n++] = edu;

	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(console, 1);
	dup2(complaints, 2);
	if (vmm->passed) {
		open_for_qemu("/dev/iommu", FIRST_FD);
		open_node_for_qemu(vmm->nvme, FIRST_FD + 1);
		open_node_for_qemu(vmm->edu, FIRST_FD + 2);
		/* one more of the node, for when the device is plugged in again: QEMU closes the other */
		open_node_for_qemu(vmm->nvme, FIRST_FD + 3);
		drop_rights();
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(argv[0], (char **)argv);
	_exit(127);
}

static bool start_qemu(struct vmm *vmm)
{
	int console[2], complaints[2];

	unlink("/tmp/qmp.in");
	unlink("/tmp/qmp.out");
	if (mkfifo("/tmp/qmp.in", 0666) || mkfifo("/tmp/qmp.out", 0666) || chmod("/tmp/qmp.in", 0666) ||
	    chmod("/tmp/qmp.out", 0666) || pipe2(console, O_CLOEXEC) || pipe2(complaints, O_CLOEXEC))
		return false;
	/* open for both, so that neither waits for the other */
	vmm->monitor = open("/tmp/qmp.in", O_RDWR | O_CLOEXEC);
	vmm->in[MONITOR].fd = open("/tmp/qmp.out", O_RDWR | O_CLOEXEC);
	vmm->in[CONSOLE].fd = console[0];
	vmm->in[COMPLAINTS].fd = complaints[0];
	vmm->pid = fork();
	if (!vmm->pid)
		become_qemu(vmm, console[1], complaints[1]);
	close(console[1]);
	close(complaints[1]);
	return vmm->pid > 0;
}

static void ask(struct vmm *vmm, const char *command)
{
	if (write(vmm->monitor, command, strlen(command)) < 0)
		perror("monitor");
}

/* true when the line was the result of a check */
static bool hear(struct vmm *vmm, enum stream stream, char *line)
{
	static const char * const names[] = { "console", "QEMU", "monitor" };

	if (stream == CONSOLE && !strncmp(line, "pass ", 5)) {
		check(true, line + 5);
		vmm->checks++;
		return true;
	}
	if (stream == CONSOLE && !strncmp(line, "fail ", 5)) {
		check(false, line + 5);
		vmm->checks++;
		return true;
	}
	printf("# %s: %s\n", names[stream], line);
	fflush(stdout);
	/*
	 * Asked to let a device go, QEMU asks the machine; asked again 10 seconds later, it says that it did. Then it
	 * closes the device before it takes the group out of the container, and that has been done when the device of
	 * the group is gone first.
	 */
	if (stream == COMPLAINTS && !(vmm->taken && (strstr(line, "already in the process of unplug") ||
						     strstr(line, "error disconnecting group"))))
		vmm->complaints++;
	return false;
}

/* a line of any stream, without its end; false when QEMU has ended or said nothing for too long */
static bool next_line(struct vmm *vmm, enum stream *stream, char line[LINE])
{
	struct pollfd p[STREAMS];
	double limit = seconds() + PATIENCE;

	while (seconds() < limit) {
		for (int i = 0; i < STREAMS; i++) {
			struct buffer *b = &vmm->in[i];
			char *end = memchr(b->text, '\n', b->used);
			int length = end ? end - b->text : b->used == LINE - 1 ? b->used : -1;

			if (length < 0)
				continue;
			memcpy(line, b->text, length);
			line[length] = 0;
			line[strcspn(line, "\r")] = 0;
			b->used -= end ? length + 1 : length;
			memmove(b->text, b->text + length + !!end, b->used);
			*stream = i;
			return true;
		}
		for (int i = 0; i < STREAMS; i++)
			p[i] = (struct pollfd) { .fd = vmm->in[i].fd, .events = POLLIN };
		if (poll(p, STREAMS, 1000) <= 0)
			continue;
		for (int i = 0; i < STREAMS; i++) {
			struct buffer *b = &vmm->in[i];
			ssize_t n = 0;

			if (p[i].revents)
				n = read(b->fd, b->text + b->used, LINE - 1 - b->used);
			if (p[i].revents && n <= 0) {
				if (i == CONSOLE)
					return false;
				b->fd = -1;
			} else {
				b->used += n;
			}
		}
	}
	return false;
}

/* until a line of that stream holds the text, and everything else is heard */
static bool wait_for(struct vmm *vmm, enum stream stream, const char *text)
{
	enum stream from;
	char line[LINE];

	while (next_line(vmm, &from, line))
		if (!hear(vmm, from, line) && from == stream && strstr(line, text))
			return true;
	return false;
}

/* the machine says that it has used its devices, and so it has */
static bool wait_for_checks(struct vmm *vmm, const char *word, int least, const char *what)
{
	vmm->checks = 0;
	return check(wait_for(vmm, CONSOLE, word) && vmm->checks >= least, what);
}

/* what the process has open */
static bool holds(pid_t pid, const char *file)
{
	char path[64], link[512];
	struct dirent *entry;
	bool found = false;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, entry->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		found = !strncmp(link, file, strlen(file));
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool stopped(struct vmm *vmm)
{
	enum stream from;
	char line[LINE];
	int status;

	ask(vmm, "{\"execute\":\"quit\"}\n");
	while (next_line(vmm, &from, line))
		hear(vmm, from, line);
	return waitpid(vmm->pid, &status, 0) == vmm->pid && !status;
}

static bool unplugged(struct vmm *vmm)
{
	return wait_for(vmm, MONITOR, "\"DEVICE_DELETED\", \"data\": {\"device\": \"nvme\"");
}

/* the host wants the controller back, and QEMU hears of it */
static bool taken_away(struct vmm *vmm)
{
	pid_t child = fork();
	int status;

	vmm->taken = true;
	if (!child)
		_exit(pci_unbind(vmm->nvme) ? 1 : 0);
	return unplugged(vmm) && waitpid(child, &status, 0) == child && !status;
}

static void plug_again(struct vmm *vmm)
{
	char device[64], command[256], *value;

	device_of(vmm, device, sizeof(device), vmm->nvme, 2);
	/* KEY=VALUE of both into JSON */
	value = strchr(device, '=');
	*value++ = 0;
	value[strcspn(value, ",")] = 0;
	snprintf(command, sizeof(command),
		 "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\",\"bus\":\"port0\",\"id\":\"nvme\",%s\"%s\":\"%s\"}}\n",
		 vmm->iommufd ? "\"iommufd\":\"i\"," : "", device, value);
	ask(vmm, command);
}

/* returns at the first thing that makes the rest meaningless, as does live() */
static bool go_through_everything(struct vmm *vmm)
{
	ask(vmm, "{\"execute\":\"system_reset\"}\n");
	if (!wait_for_checks(vmm, "over", 10, "the machine is reset, boots and uses its devices"))
		return false;

	ask(vmm, "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"nvme\"}}\n");
	if (!check(unplugged(vmm), "the controller is unplugged"))
		return false;
	check(!bind_here(vmm->nvme), "its node is free");
	plug_again(vmm);
	if (!wait_for_checks(vmm, "back", 4, "the controller is plugged in and used again"))
		return false;
	check(taken_away(vmm), "the controller is given back when the host asks for it");
	return true;
}

static void live(struct vmm *vmm)
{
	if (!check(start_qemu(vmm), "QEMU starts"))
		return;
	ask(vmm, "{\"execute\":\"qmp_capabilities\"}\n");
	if (!wait_for_checks(vmm, "over", 10, "the machine boots and uses its devices"))
		return;
	check(holds(vmm->pid, "/dev/iommu") == (vmm->iommufd || vmm->compat) &&
	      holds(vmm->pid, "/dev/vfio/devices/") == vmm->iommufd, "QEMU works with the files that it should");
	if (!vmm->brief && !go_through_everything(vmm))
		return;
	check(stopped(vmm), "QEMU ends well");
	vmm->pid = 0;
}

int main(int argc, char **argv)
{
	char way[16] = "", pages[16] = "", accelerator[16] = "", length[16] = "";
	struct vmm vmm = { .accelerator = accelerator };
	int before, after;

	if (sscanf(argv[0], "vmm-%15[^-]-%15[^-]-%15[^-]-%15s", way, pages, accelerator, length) < 3) {
		fprintf(stderr, "usage: vmm-{node|passed|type1|compat|hidden}-{small|huge}-{kvm|tcg}[-short]\n");
		return 2;
	}
	vmm.passed = !strcmp(way, "passed");
	vmm.iommufd = vmm.passed || !strcmp(way, "node");
	vmm.compat = !strcmp(way, "compat");
	vmm.hidden = !strcmp(way, "hidden");
	vmm.huge = !strcmp(pages, "huge");
	vmm.brief = !strcmp(length, "short");

	if (!check(find_devices(&vmm), "the host has the devices"))
		return 1;
	before = disk_writes();
	check(before >= 0, "the host uses the disk");
	if (!check(!pci_use_vfio(vmm.nvme) && !pci_use_vfio(vmm.edu), "the host gives the devices away"))
		return 1;
	/* as a rule of udev would: whoever may use KVM */
	chmod("/dev/kvm", 0666);
	if (vmm.compat)
		check(!rename("/dev/vfio/vfio", "/dev/vfio/type1") && !symlink("/dev/iommu", "/dev/vfio/vfio"),
		      "/dev/iommu has the name of the container");
	if (vmm.hidden)
		check(!write_file(IOMMUFD_CONTAINER, "1"), "containers are to be iommufds");
	live(&vmm);
	if (vmm.pid > 0) {
		kill(vmm.pid, SIGKILL);
		waitpid(vmm.pid, NULL, 0);
	}
	if (vmm.compat)
		check(!unlink("/dev/vfio/vfio") && !rename("/dev/vfio/type1", "/dev/vfio/vfio"),
		      "the container has its name back");
	if (vmm.hidden)
		check(!write_file(IOMMUFD_CONTAINER, "0"), "containers are themselves again");
	check(!vmm.complaints, "QEMU had nothing to complain about");
	after = -1;
	if (check(!pci_use_host(vmm.nvme) && !pci_use_host(vmm.edu), "the host takes the devices back"))
		after = disk_writes();
	check(after == before + (vmm.brief ? 1 : 3), "the host finds on the disk what the machine wrote");
	printf("1..%d\n", checks_passed + checks_failed);
	return checks_failed ? 1 : 0;
}
