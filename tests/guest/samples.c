// SPDX-License-Identifier: GPL-2.0-only
/*
 * samples - the examples of the documentation, run as a reader would, and held against what it says that they print
 *
 * They are /samples/NAME, from samples/iommufd. What needs hardware that no emulator has is done with the mock IOMMU:
 * the functions of guest.c are called here.
 */
#include "../../tools/testing/selftests/iommu/edu.h"
#include "../../tools/testing/selftests/iommu/iommufd_guest.h"
#include "tell.h"

/* Those of the sample are named as the tests' own are, and its device is a real one. */
#define main		sample_main
#define ioas_alloc	sample_ioas_alloc
#include "../../samples/iommufd/guest.c"
#undef main
#undef ioas_alloc

#include <fnmatch.h>
#include <sys/wait.h>

#define UNSAFE_MODE	"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

#ifdef __aarch64__
#define HARDWARE	"SMMUv3, stages:*"
/* a nest parent takes a second stage, of which the QEMU of Debian 12 has none */
#define NEST_PARENT	"*"
#else
#define HARDWARE	"VT-d, addresses of 48 bits"
#define NEST_PARENT	"no"
#endif

/* ---- programs ---- */

/* Runs a sample with up to two arguments; what it prints, and its exit status or -1 */
static int run(const char *name, const char *node, const char *more, char *text, size_t size)
{
	int fds[2], status = -1;
	size_t used = 0;
	char path[64];
	ssize_t n;
	pid_t pid;

	snprintf(path, sizeof(path), "/samples/%s", name);
	fflush(stdout);
	if (pipe2(fds, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execl(path, name, node, more, NULL);
		_exit(127);
	}
	close(fds[1]);
	while (used < size - 1 && (n = read(fds[0], text + used, size - 1 - used)) > 0)
		used += n;
	text[used] = 0;
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Lines for whoever reads the log, not for who counts results */
static void comment(const char *text)
{
	for (size_t n; *text; text += n + !!text[n]) {
		n = strcspn(text, "\n");
		printf("#  %.*s\n", (int)n, text);
	}
}

/* @expected: what it prints, a pattern of fnmatch() */
static void prints_with(const char *name, const char *node, const char *more, const char *expected)
{
	char text[4096];
	int status = run(name, node, more, text, sizeof(text));
	bool good = !status && !fnmatch(expected, text, 0);

	if (!good) {
		printf("# %s ended with %d and said:\n", name, status);
		comment(text);
		printf("# and not:\n");
		comment(expected);
	}
	check(good, "%s%s%s", name, node ? " " : "", node ?: "");
}

static void prints(const char *name, const char *node, const char *expected)
{
	prints_with(name, node, NULL, expected);
}

/* The node of a device that no program has open; false without such a device */
static bool node_of(const char *bdf, char *node, size_t size)
{
	return !pci_use_vfio(bdf) && !vfio_node(bdf, node, size);
}

static void run_without_device(void)
{
	prints("commands", NULL,
	       "IOMMU_DESTROY: yes\n"
	       "IOMMU_IOAS_ALLOC: yes\n"
	       "IOMMU_IOAS_ALLOW_IOVAS: yes\n"
	       "IOMMU_IOAS_COPY: yes\n"
	       "IOMMU_IOAS_IOVA_RANGES: yes\n"
	       "IOMMU_IOAS_MAP: yes\n"
	       "IOMMU_IOAS_UNMAP: yes\n"
	       "IOMMU_OPTION: yes\n"
	       "IOMMU_VFIO_IOAS: yes\n"
	       "IOMMU_HWPT_ALLOC: yes\n"
	       "IOMMU_GET_HW_INFO: yes\n"
	       "IOMMU_HWPT_SET_DIRTY_TRACKING: no\n"
	       "IOMMU_HWPT_GET_DIRTY_BITMAP: no\n"
	       "IOMMU_HWPT_INVALIDATE: yes\n"
	       "IOMMU_FAULT_QUEUE_ALLOC: yes\n"
	       "IOMMU_IOAS_MAP_FILE: yes\n"
	       "IOMMU_VIOMMU_ALLOC: yes\n"
	       "IOMMU_VDEVICE_ALLOC: yes\n"
	       "IOMMU_IOAS_CHANGE_PROCESS: yes\n"
	       "IOMMU_VEVENTQ_ALLOC: no\n"
	       "IOMMU_HW_QUEUE_ALLOC: no\n"
	       "IOMMU_IOAS_NOIOMMU_GET_PA: yes\n");
	prints("address_space", NULL,
	       "count by process: Success\n"
	       "huge pages: 1\n"
	       "usable: 0x0-0xffffffffffffffff\n"
	       "alignment: 1\n"
	       "in the window: yes\n"
	       "half of a mapping: No such file or directory\n"
	       "the whole: 1048576 bytes\n"
	       "all the rest: 2097152 bytes\n"
	       "the copy: 1048576 bytes\n");
	prints("container", NULL, "mapped by type1's ioctl, unmapped by iommufd's: 1048576 bytes\n");
	prints("hand_over", NULL, "the successor unmapped 1048576 bytes\n");
}

static void run_with_device(void)
{
	char bdf[16], node[64], group[64];

	if (edu_find(EDU_ALONE, bdf) || !node_of(bdf, node, sizeof(node))) {
		check(false, "a device");
		return;
	}
	prints("edu_copy", node, "carried by the device\n");
	prints("two_spaces", node,
	       "device 1, IOAS 2, page table 3\n"
	       "2097152 bytes unmapped\n");
	prints("port_iommufd", node, "1048576 bytes\n");
	snprintf(group, sizeof(group), "/dev/vfio/%d", pci_group(bdf));
	prints_with("port_type1", group, bdf, "1048576 bytes\n");
	prints("look", node,
	       "IOAS 2: 1048576 bytes mapped, 0 pinned\n"
	       "device 1 is on page table 3\n"
	       "IOAS 2: 1048576 bytes mapped, 1048576 pinned\n");
	prints("device", node,
	       HARDWARE "\n"
	       "attached to a page table of the kernel's: yes\n"
	       "devices in the group: 1, on a page table: yes\n"
	       "moved to our own: yes\n"
	       "devices in the group: 1, on a page table: no\n"
	       "PASID 1: Operation not supported\n");
	prints("guest", node,
	       "nest parent: " NEST_PARENT "\n"
	       "nested page table: Operation not supported\n"
	       "vIOMMU: Operation not supported\n"
	       "page requests: Operation not supported\n");
}

static void run_without_iommu(void)
{
	char bdf[16], node[64];

	if (edu_find_noiommu(0, bdf)) {
		printf("skip no device without an IOMMU\n");
		return;
	}
	if (write_file(UNSAFE_MODE, "Y") || !node_of(bdf, node, sizeof(node)))
		check(false, "a device without an IOMMU");
	else
		prints("noiommu", node, "physical addresses of 16384 bytes\n");
	pci_unbind(bdf);
	write_file(UNSAFE_MODE, "N");
}

/* ---- functions, on the mock IOMMU ---- */

static uint64_t brought;

static int bring_page(const struct iommu_hwpt_pgfault *request)
{
	brought += request->addr;
	return 0;
}

static void call_guest(void)
{
	const uint32_t kept[GUEST_SLOTS] = { 0, IOTLB, IOTLB, IOTLB };
	struct guest_entry entry = { .slot = 0 };
	struct guest_data data = { .iotlb = IOTLB };
	uint32_t ioas, parent, hwpt = 0, inside, viommu = 0, vdevice;
	struct mock_device dev;
	int fd = iommu_open();

	if (fd < 0 || ioas_alloc(fd, &ioas) || mock_device_create_with(fd, ioas, MOCK_PASIDS, &dev)) {
		check(false, "a mock device");
		return;
	}
	parent = nest_parent(fd, dev.id, ioas);
	check(parent, "nest_parent()");
	check(!nested(fd, dev.id, parent, GUEST_DATA, &data, sizeof(data), &hwpt), "nested() on the parent");
	check(invalidate(fd, hwpt, GUEST_INVALIDATE, &entry, sizeof(entry), 1) == 1 && !check_iotlb(fd, hwpt, kept),
	      "invalidate()");
	check(!share_of_iommu(fd, dev.id, parent, GUEST_VIOMMU, &viommu), "share_of_iommu()");
	check(!nested(fd, dev.id, viommu, GUEST_DATA, &data, sizeof(data), &inside), "nested() in the vIOMMU");
	check(name_device(fd, viommu, dev.id, 3, &vdevice) == -EOPNOTSUPP, "name_device()");
	close(fd);
}

static void call_page_requests(void)
{
	uint32_t ioas, hwpt, table;
	struct mock_device dev;
	int queue, fd = iommu_open();

	if (fd < 0 || ioas_alloc(fd, &ioas) || mock_device_create_with(fd, ioas, MOCK_PASIDS, &dev)) {
		check(false, "a mock device");
		return;
	}
	queue = faulting_table(fd, dev.id, ioas, &hwpt);
	table = hwpt;
	check(queue >= 0 && !mock_device_replace(fd, dev.stdev, &table), "faulting_table()");
	check(!fault_send_group(fd, dev.id, 0, 1, 0x1000, 3) && serve(queue, -1, bring_page) == 3 &&
	      brought == 0x1000 + 0x2000 + 0x3000 && faults_are(fd, dev.id, 1, 1, 0), "serve()");
	check(!fault_send(fd, dev.id, 0, 2, 0x1000) && serve(queue, -1, bring_nothing) == 1 &&
	      faults_are(fd, dev.id, 2, 1, 1), "serve() without pages");
	close(queue);
	close(fd);
}

int main(void)
{
	run_without_device();
	run_with_device();
	run_without_iommu();
	call_guest();
	call_page_requests();
	return failed ? 1 : 0;
}
