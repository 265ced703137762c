// SPDX-License-Identifier: GPL-2.0-only
/*
 * host_use - does this machine itself need a device?
 *
 * Whoever takes the disk below / away from its driver learns of it too late. File systems, swap and network
 * interfaces are traced to the PCI device below them by the paths of sysfs, through volumes that are made of others.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "host_use.h"

/* volumes upon volumes: no real machine has that many */
#define DEPTH 8

/* Is the address a directory on this way through sysfs? */
static bool leads_over(const char *path, const char *address)
{
	const char *at = path ? strstr(path, address) : NULL;

	return at && at > path && at[-1] == '/' && at[strlen(address)] == '/';
}

/* Is a block device, "8:1", on a PCI device? */
static bool block_on(const char *number, const char *address, int depth)
{
	char *path = read_link("/sys/dev/block/%s", number), **slaves, *slave;
	bool found = leads_over(path, address);
	int n, i;

	free(path);
	if (found || depth >= DEPTH)
		return found;
	n = list_dir(&slaves, "/sys/dev/block/%s/slaves", number);
	for (i = 0; i < n && !found; i++) {
		slave = read_file("/sys/class/block/%s/dev", slaves[i]);
		found = slave && block_on(slave, address, depth + 1);
		free(slave);
	}
	free_names(slaves, n);
	return found;
}

static bool file_on(const char *path, const char *address)
{
	const char *name = strrchr(path, '/');
	bool found = false;
	char *number;

	if (strncmp(path, "/dev/", 5))
		return false;
	number = read_file("/sys/class/block/%s/dev", name + 1);
	found = number && block_on(number, address, 0);
	free(number);
	return found;
}

static char *mounted_on(const struct pci_device *d)
{
	char *text = read_file("/proc/self/mountinfo"), *line, *rest = text, *separator;
	char number[32], point[512], source[512], *result = NULL;

	while (!result && (line = strsep(&rest, "\n"))) {
		separator = strstr(line, " - ");
		if (!separator || sscanf(line, "%*d %*d %31s %*s %511s", number, point) != 2 ||
		    sscanf(separator, " - %*s %511s", source) != 1)
			continue;
		/* file systems on several devices have a number of their own, and name one of the devices */
		if (block_on(number, d->address, 0) || file_on(source, d->address))
			result = format("%s is mounted from %s", point, source);
	}
	free(text);
	return result;
}

static char *swaps_on(const struct pci_device *d)
{
	char *text = read_file("/proc/swaps"), *line, *rest = text, path[512], *result = NULL;

	while (!result && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%511s", path) == 1 && file_on(path, d->address))
			result = format("the machine swaps to %s", path);
	}
	free(text);
	return result;
}

static char *network_on(const struct pci_device *d)
{
	char **names, *path, *result = NULL;
	unsigned long long flags;
	int n, i;

	n = list_dir(&names, "/sys/class/net");
	for (i = 0; i < n && !result; i++) {
		path = read_link("/sys/class/net/%s", names[i]);
		if (leads_over(path, d->address) && read_number(&flags, "/sys/class/net/%s/flags", names[i]) &&
		    flags & IFF_UP)
			result = format("network interface %s is up", names[i]);
		free(path);
	}
	free_names(names, n);
	return result;
}

char *host_use(const struct pci_device *d)
{
	char *result = mounted_on(d);

	if (!result)
		result = swaps_on(d);
	if (!result)
		result = network_on(d);
	return result;
}
