// SPDX-License-Identifier: GPL-2.0-only
/*
 * pci - PCI devices as sysfs tells of them, and what keeps a program from having one
 *
 * Devices and drivers come and go while they are read. What went is a device, or a driver, that is not there.
 *
 * libpci is asked for names only: it ends the program when a device goes while it looks for all of them.
 */
#include <ctype.h>
#include <errno.h>
#include <pci/pci.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "pci.h"

#define DEVICES "/sys/bus/pci/devices"

static bool parse_address(const char *text, char address[static 32])
{
	unsigned int domain = 0, bus, slot, function;
	int end = -1;

	if (sscanf(text, "%8x:%2x:%2x.%1u%n", &domain, &bus, &slot, &function, &end) < 4 || end < 0) {
		end = -1;
		domain = 0;
		if (sscanf(text, "%2x:%2x.%1u%n", &bus, &slot, &function, &end) < 3)
			return false;
	}
	/* sscanf() skips blanks, and takes signs */
	if (end < 0 || text[end] || strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		return false;
	if (slot > 31 || function > 7)
		return false;
	snprintf(address, 32, "%04x:%02x:%02x.%u", domain, bus, slot, function);
	return true;
}

bool pci_address(const char *text, char address[static 32])
{
	const char *name = strrchr(text, '/');
	char *device = NULL;
	bool found;

	if (parse_address(text, address))
		return true;
	name = name ? name + 1 : text;
	if (!strncmp(name, "pci-", 4))
		return parse_address(name + 4, address);
	if (!strncmp(name, "vfio", 4) || !strncmp(name, "noiommu-vfio", 12))
		device = link_name("/sys/class/vfio-dev/%s/device", name);
	found = device && parse_address(device, address);
	free(device);
	return found;
}

static unsigned int number_of(const char *address, const char *what)
{
	unsigned long long value;

	return read_number(&value, DEVICES "/%s/%s", address, what) ? value : 0;
}

bool pci_read(struct pci_device *d, const char *address)
{
	char **names;
	int n, i;

	memset(d, 0, sizeof(*d));
	snprintf(d->address, sizeof(d->address), "%s", address);
	if (!path_exists(DEVICES "/%s", address))
		return false;
	d->vendor = number_of(address, "vendor");
	d->device = number_of(address, "device");
	d->class = number_of(address, "class") >> 8;
	d->driver = link_name(DEVICES "/%s/driver", address);
	d->group = link_name(DEVICES "/%s/iommu_group", address);
	d->override = read_file(DEVICES "/%s/driver_override", address);
	if (d->override && (!*d->override || !strcmp(d->override, "(null)"))) {
		free(d->override);
		d->override = NULL;
	}
	n = list_dir(&names, DEVICES "/%s/vfio-dev", address);
	for (i = 0; i < n && !d->node; i++)
		d->node = copy_string(names[i]);
	free_names(names, n);
	return true;
}

void pci_free(struct pci_device *d)
{
	free(d->driver);
	free(d->group);
	free(d->override);
	free(d->node);
}

void pci_must_read(struct pci_device *d, const char *text)
{
	char address[32];

	if (!pci_address(text, address))
		usage_error("%s is no PCI address (0000:00:03.0, or 00:03.0) and no node of VFIO", escaped(text));
	if (!pci_read(d, address))
		die(NOT_USABLE, "there is no PCI device %s", address);
}

int pci_read_all(struct pci_device **devices)
{
	char **names, address[32];
	int n = list_dir(&names, DEVICES), count = 0, i;

	*devices = NULL;
	if (n < 0)
		return -1;
	*devices = grow(NULL, n, sizeof(**devices));
	for (i = 0; i < n; i++) {
		if (parse_address(names[i], address) && pci_read(&(*devices)[count], names[i]))
			count++;
	}
	free_names(names, n);
	return count;
}

void pci_free_all(struct pci_device *devices, int count)
{
	while (count > 0)
		pci_free(&devices[--count]);
	free(devices);
}

bool pci_is_vfio(const struct pci_device *d)
{
	return d->node || (d->driver && !strcmp(d->driver, "vfio-pci"));
}

/* Drivers that do no DMA of their own, and say so to the kernel, which tells nobody */
static bool does_no_dma(const char *driver)
{
	return !strcmp(driver, "vfio-pci") || !strcmp(driver, "pci-stub") || !strcmp(driver, "pcieport");
}

bool pci_is_harmless(const struct pci_device *d)
{
	return !d->driver || d->node || does_no_dma(d->driver);
}

bool pci_is_bridge(const struct pci_device *d)
{
	return d->class == 0x0604 || d->class == 0x0607 || d->class == 0x0609;
}

bool pci_unsafe_mode(void)
{
	char *value = read_file("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	bool on = value && *value == 'Y';

	free(value);
	return on;
}

char *group_member_driver(const char *group, const char *name)
{
	return link_name("/sys/kernel/iommu_groups/%s/devices/%s/driver", group, name);
}

int pci_group_foreign(const struct pci_device *d, char ***names)
{
	int n = d->group ? list_dir(names, "/sys/kernel/iommu_groups/%s/devices", d->group) : -1, kept = 0, i;
	char *driver;

	if (n < 0) {
		*names = NULL;
		return 0;
	}
	for (i = 0; i < n; i++) {
		driver = group_member_driver(d->group, (*names)[i]);
		/* a VFIO driver that we do not know by its name has a node */
		if (!driver || does_no_dma(driver) || !strcmp((*names)[i], d->address) ||
		    path_exists("/sys/kernel/iommu_groups/%s/devices/%s/vfio-dev", d->group, (*names)[i]))
			free((*names)[i]);
		else
			(*names)[kept++] = (*names)[i];
		free(driver);
	}
	return kept;
}

/* A file of VFIO that a process has: "5" or "noiommu-5" of a group, "devices/vfio0" of a node */
struct vfio_file {
	int pid;
	char *name;
};

struct vfio_files {
	struct vfio_file *files;
	int count;
};

static void add_file(struct vfio_files *all, const char *pid, const char *path)
{
	if (strncmp(path, "/dev/vfio/", 10))
		return;
	all->files = grow(all->files, all->count + 1, sizeof(*all->files));
	all->files[all->count++] = (struct vfio_file){ atoi(pid), copy_string(path + 10) };
}

static void add_open_files(struct vfio_files *all, const char *pid)
{
	char **fds, *target;
	int n, i;

	n = list_dir(&fds, "/proc/%s/fd", pid);
	for (i = 0; i < n; i++) {
		target = read_link("/proc/%s/fd/%s", pid, fds[i]);
		if (target)
			add_file(all, pid, target);
		free(target);
	}
	free_names(fds, n);
}

/* A node that was closed keeps its device as long as a BAR is mapped */
static void add_mapped_files(struct vfio_files *all, const char *pid)
{
	char *maps = read_file("/proc/%s/maps", pid), *rest = maps, *line, *path;

	while ((line = strsep(&rest, "\n"))) {
		path = strchr(line, '/');
		if (path)
			add_file(all, pid, path);
	}
	free(maps);
}

/* All that processes have. It is looked for once: there may be many devices, and many more files. */
static const struct vfio_files *vfio_files(void)
{
	static struct vfio_files all;
	static bool known;
	char **pids;
	int n, i;

	if (known)
		return &all;
	known = true;
	n = list_dir(&pids, "/proc");
	for (i = 0; i < n; i++) {
		if (!isdigit((unsigned char)pids[i][0]))
			continue;
		add_open_files(&all, pids[i]);
		add_mapped_files(&all, pids[i]);
	}
	free_names(pids, n);
	return &all;
}

static bool is_of(const char *file, const struct pci_device *d)
{
	if (!strncmp(file, "devices/", 8))
		return d->node && !strcmp(file + 8, d->node);
	if (!strncmp(file, "noiommu-", 8))
		file += 8;
	return d->group && !strcmp(file, d->group);
}

int pci_holders(const struct pci_device *d, struct holder **holders)
{
	const struct vfio_files *all = vfio_files();
	int i, count = 0;

	*holders = NULL;
	for (i = 0; i < all->count; i++) {
		const struct vfio_file *f = &all->files[i];

		if (!is_of(f->name, d) || (count && (*holders)[count - 1].pid == f->pid))
			continue;
		*holders = grow(*holders, count + 1, sizeof(**holders));
		(*holders)[count].pid = f->pid;
		(*holders)[count].name = read_file("/proc/%d/comm", f->pid);
		if (!(*holders)[count].name)
			(*holders)[count].name = copy_string("?");
		count++;
	}
	return count;
}

void free_holders(struct holder *holders, int count)
{
	while (count > 0)
		free(holders[--count].name);
	free(holders);
}

static bool in_use(const struct pci_device *d)
{
	struct holder *holders;
	int n = pci_holders(d, &holders);

	free_holders(holders, n);
	return n;
}

enum pci_usable pci_usable(const struct pci_device *d)
{
	char **foreign, *path;
	bool allowed;
	int n;

	if (pci_is_bridge(d))
		return PCI_BRIDGE;
	if (!d->group && !d->node)
		return PCI_NO_IOMMU;
	n = pci_group_foreign(d, &foreign);
	free_names(foreign, n);
	if (n)
		return PCI_GROUP;
	if (!pci_is_vfio(d))
		return PCI_NOT_BOUND;
	if (!d->node || !path_exists("/dev/vfio/devices/%s", d->node))
		return PCI_NO_NODE;
	if (in_use(d))
		return PCI_IN_USE;
	path = path_of("/dev/vfio/devices/%s", d->node);
	allowed = !euidaccess(path, R_OK | W_OK);
	free(path);
	return allowed ? PCI_READY : PCI_NO_ACCESS;
}

static const struct {
	const char *text, *key;
} usable_texts[] = {
	[PCI_READY] = { "yes", "ready" },
	[PCI_IN_USE] = { "in use", "in-use" },
	[PCI_NO_ACCESS] = { "no access", "no-access" },
	[PCI_NO_NODE] = { "no node", "no-node" },
	[PCI_NOT_BOUND] = { "not bound", "not-bound" },
	[PCI_GROUP] = { "group", "group" },
	[PCI_BRIDGE] = { "bridge", "bridge" },
	[PCI_NO_IOMMU] = { "no IOMMU", "no-iommu" },
};

const char *pci_usable_text(enum pci_usable u)
{
	return usable_texts[u].text;
}

const char *pci_usable_key(enum pci_usable u)
{
	return usable_texts[u].key;
}

/* libpci has nothing to tell that the names are worth ending for */
static void __attribute__((noreturn, format(printf, 1, 2))) pci_error(char *fmt, ...)
{
	(void)fmt;
	die(FAILED, "the list of PCI names cannot be read");
}

static void __attribute__((format(printf, 1, 2))) pci_say_nothing(char *fmt, ...)
{
	(void)fmt;
}

static struct pci_access *name_list(void)
{
	static struct pci_access *access;

	if (!access) {
		access = pci_alloc();
		access->error = pci_error;
		access->warning = pci_say_nothing;
		access->debug = pci_say_nothing;
	}
	return access;
}

const char *pci_device_name(const struct pci_device *d)
{
	static char text[512];

	int how = PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_HWDB;

	return pci_lookup_name(name_list(), text, sizeof(text), how, d->vendor, d->device);
}

const char *pci_short_name(const struct pci_device *d)
{
	static char text[512];
	int how = PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB;
	const char *name = pci_lookup_name(name_list(), text, sizeof(text), how, d->vendor, d->device);

	if (name)
		return name;
	snprintf(text, sizeof(text), "%04x:%04x", d->vendor, d->device);
	return text;
}

const char *pci_class_name(const struct pci_device *d)
{
	static char text[256];

	return pci_lookup_name(name_list(), text, sizeof(text), PCI_LOOKUP_CLASS | PCI_LOOKUP_NO_HWDB, d->class);
}
