// SPDX-License-Identifier: GPL-2.0-only
/*
 * bind - give PCI devices to a VFIO driver, and back
 *
 * First all is decided, and what would do harm or no good is refused: a device that this machine needs, one that a
 * program has, a part of a group. Then driver_override says which driver a device gets, and the kernel is asked to
 * look for one again. When one of several devices fails, those before it go back to where they were.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "host_use.h"
#include "pci.h"

#define DEVICE "/sys/bus/pci/devices/%s"
#define DRIVER "/sys/bus/pci/drivers/%s"

static bool group_too, force, dry_run;

/* Write to a file of sysfs, or say how a shell would. False with errno. */
static __attribute__((format(printf, 2, 3))) bool put(const char *value, const char *fmt, ...)
{
	int fd, error;
	va_list ap;
	char *path;
	ssize_t n;

	va_start(ap, fmt);
	if (vasprintf(&path, fmt, ap) < 0)
		die(FAILED, "out of memory");
	va_end(ap);
	if (dry_run) {
		printf("echo %s > %s\n", strcmp(value, "\n") ? value : "", path);
		free(path);
		return true;
	}
	fd = open_file(O_WRONLY, "%s", path);
	if (fd < 0) {
		free(path);
		return false;
	}
	n = write(fd, value, strlen(value));
	error = errno;
	close(fd);
	free(path);
	errno = error;
	return n >= 0;
}

/* A device gets the driver of that name, or with NULL the one that the kernel finds. False with errno. */
static bool move(const struct pci_device *d, const char *driver)
{
	char *now = link_name(DEVICE "/driver", d->address);
	bool moved;

	moved = put(driver ? driver : "\n", DEVICE "/driver_override", d->address);
	if (moved && now)
		moved = put(d->address, DRIVER "/unbind", now);
	/* it fails when the driver that it finds refuses the device */
	if (moved)
		moved = put(d->address, "/sys/bus/pci/drivers_probe");
	free(now);
	return moved;
}

/* As it was, as far as that goes: what failed may fail again, and it is the first failure that is told. */
static void move_back(const struct pci_device *d)
{
	char *now = link_name(DEVICE "/driver", d->address);

	if (d->driver)
		move(d, d->driver);
	else if (now)
		put(d->address, DRIVER "/unbind", now);
	free(now);
	put(d->override ? d->override : "\n", DEVICE "/driver_override", d->address);
}

static bool has_driver(const struct pci_device *d, const char *driver)
{
	char *now = link_name(DEVICE "/driver", d->address);
	bool same = now && !strcmp(now, driver);

	free(now);
	return same;
}

/* Without a driver that is asked for, any of VFIO's will do: one of the vendor does more than vfio-pci */
static bool is_bound(const struct pci_device *d, const char *asked)
{
	return asked ? d->driver && !strcmp(d->driver, asked) : pci_is_vfio(d);
}

static void must_have_driver(const char *driver)
{
	pid_t pid;

	if (path_exists(DRIVER, driver))
		return;
	if (!dry_run && !*settings.sysroot) {
		pid = fork();
		if (!pid) {
			int null = open("/dev/null", O_RDWR | O_CLOEXEC);

			dup2(null, STDOUT_FILENO);
			dup2(null, STDERR_FILENO);
			execlp("modprobe", "modprobe", "--", driver, (char *)NULL);
			_exit(127);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	if (!path_exists(DRIVER, driver))
		die(NOT_USABLE, "there is no PCI driver %s (try: modprobe %s)", escaped(driver), escaped(driver));
}

static void add(struct pci_device **devices, int *count, const char *text)
{
	struct pci_device d;
	int i;

	pci_must_read(&d, text);
	for (i = 0; i < *count; i++) {
		if (!strcmp((*devices)[i].address, d.address)) {
			pci_free(&d);
			return;
		}
	}
	*devices = grow(*devices, *count + 1, sizeof(**devices));
	(*devices)[(*count)++] = d;
}

static bool listed(const struct pci_device *devices, int count, const char *name)
{
	while (count > 0) {
		if (!strcmp(devices[--count].address, name))
			return true;
	}
	return false;
}

/* The others of each group that drivers of the kernel have, or that are VFIO's, as asked. Bridges stay. */
static void add_groups(struct pci_device **devices, int *count, bool vfio)
{
	struct pci_device member;
	int n, i, j, asked = *count;
	char **names, address[32];

	for (i = 0; i < asked; i++) {
		if (!(*devices)[i].group)
			continue;
		n = list_dir(&names, "/sys/kernel/iommu_groups/%s/devices", (*devices)[i].group);
		for (j = 0; j < n; j++) {
			if (!pci_address(names[j], address) || !pci_read(&member, address))
				continue;
			if (!pci_is_bridge(&member) && (vfio ? pci_is_vfio(&member) : !pci_is_harmless(&member)))
				add(devices, count, address);
			pci_free(&member);
		}
		free_names(names, n);
	}
}

static void refuse_if_needed(const struct pci_device *d)
{
	char *use = force ? NULL : host_use(d);

	if (use)
		die(NOT_USABLE, "this machine needs %s: %s (--force takes it all the same)", d->address, escaped(use));
}

static void refuse_if_held(const struct pci_device *d)
{
	struct holder *holders;
	int n;

	if (force || !d->node)
		return;
	n = pci_holders(d, &holders);
	if (n)
		die(NOT_USABLE, "%s is in use by process %d (%s); --force asks for it, and waits until it is closed",
		    d->address, holders[0].pid, escaped(holders[0].name));
	free_holders(holders, n);
}

static void refuse_part_of_group(const struct pci_device *devices, int count, const struct pci_device *d)
{
	char **names, *driver;
	int n, i;

	if (force)
		return;
	n = pci_group_foreign(d, &names);
	for (i = 0; i < n; i++) {
		if (listed(devices, count, names[i]))
			continue;
		driver = group_member_driver(d->group, names[i]);
		die(NOT_USABLE, "%s shares group %s with %s of driver %s: programs get all or none (--group binds all)",
		    d->address, escaped(d->group), escaped(names[i]), escaped(driver ? driver : "?"));
	}
	free_names(names, n);
}

static void put_result(const struct pci_device *old, struct json_object *array)
{
	struct json_object *o;
	struct pci_device d;

	if (dry_run || !pci_read(&d, old->address))
		return;
	if (array) {
		o = json_object_new_object();
		json_add_string(o, "address", d.address);
		json_add_string(o, "driver", d.driver);
		json_add_string(o, "driver_before", old->driver);
		json_add_string(o, "node", d.node);
		json_object_array_add(array, o);
	} else {
		printf("%s  %s", d.address, d.driver ? escaped(d.driver) : "no driver");
		if (d.node)
			printf("  /dev/vfio/devices/%s", escaped(d.node));
		printf("  (was: %s)\n", old->driver ? escaped(old->driver) : "no driver");
	}
	pci_free(&d);
}

static void put_results(const struct pci_device *devices, int count)
{
	struct json_object *o = NULL, *array = NULL;
	int i;

	if (settings.json && !dry_run) {
		o = json_object_new_object();
		array = json_add_array(o, "devices");
	}
	for (i = 0; i < count; i++)
		put_result(&devices[i], array);
	if (o)
		json_put_out(o, false);
}

/* Why a driver did not take a device is in the kernel's log; what the error number tells is all that is known here. */
static void __attribute__((noreturn)) fail(const struct pci_device *d, const char *driver, int error)
{
	if (error == EACCES || error == EPERM || error == EROFS)
		die(NOT_PERMITTED, "%s: sysfs may not be written, this takes root: sudo iommuctl ...", d->address);
	die(FAILED, "%s: %s did not take it%s%s; dmesg may tell why", d->address, escaped(driver), error ? ": " : "",
	    error ? strerror(error) : "");
}

/* Options of both commands; the driver that was asked for, or NULL */
static const char *read_options(int argc, char **argv, const struct option *own)
{
	const char *driver = NULL;
	int c;

	while ((c = next_option(argc, argv, own)) != -1) {
		switch (c) {
		case 'd':
			driver = optarg;
			break;
		case 'g':
			group_too = true;
			break;
		case 'f':
			force = true;
			break;
		case 'n':
			dry_run = true;
			break;
		}
	}
	return driver;
}

int cmd_bind(int argc, char **argv)
{
	static const struct option own[] = {
		{ "driver", required_argument, NULL, 'd' },
		{ "group", no_argument, NULL, 'g' },
		{ "force", no_argument, NULL, 'f' },
		{ "dry-run", no_argument, NULL, 'n' },
		{}
	};
	struct pci_device *devices = NULL;
	const char *asked, *driver;
	int count = 0, done, error, c;

	asked = read_options(argc, argv, own);
	driver = asked ? asked : "vfio-pci";
	if (optind >= argc)
		usage_error("bind: which device?");
	if (!*driver || strchr(driver, '/') || !strcmp(driver, ".") || !strcmp(driver, ".."))
		usage_error("%s is no name of a driver", escaped(driver));
	for (; optind < argc; optind++)
		add(&devices, &count, argv[optind]);
	if (group_too)
		add_groups(&devices, &count, false);
	for (done = 0; done < count; done++) {
		const struct pci_device *d = &devices[done];

		if (pci_is_bridge(d))
			die(NOT_USABLE, "%s is a bridge, and VFIO drives none", d->address);
		if (!d->group && !pci_unsafe_mode())
			die(NOT_USABLE, "no IOMMU translates for %s; \"iommuctl doctor %s\" tells why", d->address,
			    d->address);
		refuse_part_of_group(devices, count, d);
		if (is_bound(d, asked))
			continue;
		refuse_if_needed(d);
		refuse_if_held(d);
	}
	must_have_driver(driver);

	for (done = 0; done < count; done++) {
		if (is_bound(&devices[done], asked))
			continue;
		error = move(&devices[done], driver) ? 0 : errno;
		if (!error && (dry_run || has_driver(&devices[done], driver)))
			continue;
		for (c = done; c >= 0; c--) {
			if (!is_bound(&devices[c], asked))
				move_back(&devices[c]);
		}
		fail(&devices[done], driver, error);
	}
	put_results(devices, count);
	pci_free_all(devices, count);
	return DONE;
}

int cmd_unbind(int argc, char **argv)
{
	static const struct option own[] = {
		{ "group", no_argument, NULL, 'g' },
		{ "force", no_argument, NULL, 'f' },
		{ "dry-run", no_argument, NULL, 'n' },
		{}
	};
	struct pci_device *devices = NULL, *members = NULL;
	int count = 0, n = 0, i, c = 0, error = 0;

	read_options(argc, argv, own);
	if (optind >= argc)
		usage_error("unbind: which device?");
	for (; optind < argc; optind++) {
		add(&devices, &count, argv[optind]);
		add(&members, &n, devices[count - 1].address);
	}
	if (group_too)
		add_groups(&devices, &count, true);
	/* as long as a program has one device of a group, the kernel's drivers get none of the others */
	add_groups(&members, &n, true);
	for (i = 0; i < n; i++)
		refuse_if_held(&members[i]);
	pci_free_all(members, n);
	for (i = 0; i < count; i++) {
		if (devices[i].driver && !pci_is_vfio(&devices[i]) && !devices[i].override)
			die(NOT_USABLE, "%s is not VFIO's: driver %s has it", devices[i].address,
			    escaped(devices[i].driver));
	}

	for (i = 0; i < count; i++) {
		if (move(&devices[i], NULL))
			continue;
		/* nothing to be undone: the others are on their way to their drivers as well */
		error = errno;
		c = i;
	}
	if (error)
		fail(&devices[c], "the driver that the kernel found", error);
	put_results(devices, count);
	pci_free_all(devices, count);
	return DONE;
}
