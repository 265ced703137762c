// SPDX-License-Identifier: GPL-2.0-only
/*
 * list - PCI devices, and whether a program can have them
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "pci.h"

static struct json_object *as_json(const struct pci_device *d)
{
	enum pci_usable usable = pci_usable(d);
	struct json_object *o = json_object_new_object();

	json_add_string(o, "address", d->address);
	json_add_number(o, "vendor", d->vendor);
	json_add_number(o, "device", d->device);
	json_add_number(o, "class", d->class);
	json_add_string(o, "class_name", pci_class_name(d));
	json_add_string(o, "name", pci_device_name(d));
	json_add_string(o, "driver", d->driver);
	json_add_string(o, "driver_override", d->override);
	if (d->group)
		json_add_number(o, "group", strtoul(d->group, NULL, 10));
	else
		json_add_string(o, "group", NULL);
	json_add_string(o, "node", d->node);
	json_add_bool(o, "usable", usable == PCI_READY);
	json_add_string(o, "state", pci_usable_key(usable));
	return o;
}

static int longer(int width, const char *text)
{
	int length = text ? strlen(escaped(text)) : 1;

	return length > width ? length : width;
}

static void put_table(struct pci_device *devices, int count)
{
	int address = 12, group = 5, driver = 6, node = 4, state = 9, i, room;

	for (i = 0; i < count; i++) {
		address = longer(address, devices[i].address);
		group = longer(group, devices[i].group);
		driver = longer(driver, devices[i].driver);
		node = longer(node, devices[i].node);
	}
	/* a name takes what is left of the line, and is cut rather than wrapped */
	room = settings.columns - address - group - driver - node - state - 5;
	if (room < 12)
		room = 12;
	printf("%s%-*s %*s %-*s %-*s %-*s %s%s\n", colour(BOLD), address, "DEVICE", group, "GROUP", driver, "DRIVER",
	       node, "NODE", state, "USABLE", "WHAT", colour(PLAIN));
	for (i = 0; i < count; i++) {
		const struct pci_device *d = &devices[i];
		enum pci_usable usable = pci_usable(d);
		enum colour c = usable == PCI_READY ? GREEN : usable == PCI_IN_USE ? BLUE :
				usable == PCI_NOT_BOUND || usable == PCI_BRIDGE ? PLAIN : YELLOW;
		char *what = format("%s: %s", pci_class_name(d), pci_short_name(d));

		printf("%-*s %*s %-*s ", address, d->address, group, d->group ? escaped(d->group) : "-", driver,
		       d->driver ? escaped(d->driver) : "-");
		printf("%-*s %s%-*s%s %.*s\n", node, d->node ? escaped(d->node) : "-", colour(c), state,
		       pci_usable_text(usable), colour(PLAIN), room, escaped(what));
		free(what);
	}
}

int cmd_list(int argc, char **argv)
{
	struct json_object *o, *array;
	struct pci_device *devices;
	int count, i;

	while (next_option(argc, argv, NULL) != -1)
		;
	if (optind < argc) {
		count = argc - optind;
		devices = grow(NULL, count, sizeof(*devices));
		for (i = 0; i < count; i++)
			pci_must_read(&devices[i], argv[optind + i]);
	} else {
		count = pci_read_all(&devices);
		if (count < 0)
			die(errno == ENOENT ? NOT_USABLE : status_of(errno), "the PCI bus cannot be read: %s",
			    strerror(errno));
	}
	if (settings.json) {
		o = json_object_new_object();
		array = json_add_array(o, "devices");
		for (i = 0; i < count; i++)
			json_object_array_add(array, as_json(&devices[i]));
		json_put_out(o, false);
	} else if (count) {
		put_table(devices, count);
	} else {
		printf("no PCI devices\n");
	}
	pci_free_all(devices, count);
	return DONE;
}
