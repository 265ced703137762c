/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pci - PCI devices as sysfs tells of them, and what keeps a program from having one
 */
#ifndef IOMMUCTL_PCI_H
#define IOMMUCTL_PCI_H

#include <stdbool.h>
#include <stddef.h>

/* names as they are, not escaped; NULL where there is none */
struct pci_device {
	char address[32]; /* 0000:00:03.0 */
	unsigned int vendor;
	unsigned int device;
	unsigned int class; /* without the programming interface: 0x0200 is Ethernet */
	char *driver;
	char *override; /* driver_override: the only driver that may take it */
	char *group;	/* number of the IOMMU group */
	char *node;	/* vfio0 or noiommu-vfio0: what a VFIO driver has made for it */
};

/* Whether a program can have a device; the first that applies */
enum pci_usable {
	PCI_READY,
	PCI_IN_USE,    /* some process has it */
	PCI_NO_ACCESS, /* this user may not open its node */
	PCI_NO_NODE,   /* its driver is VFIO's, and there is no file in /dev */
	PCI_NOT_BOUND, /* its driver is not VFIO's, and nothing else is in the way */
	PCI_GROUP,     /* a driver of the kernel has another device of the group */
	PCI_BRIDGE,    /* VFIO drives no bridges */
	PCI_NO_IOMMU,
};

/* A process that holds a file of a device or of its group */
struct holder {
	int pid;
	char *name;
};

/**
 * pci_address() - The PCI device that somebody means
 * @text: an address with or without the domain, vfioN, or the path of a node
 * @address: where the whole address goes
 *
 * Return: false when it can be none; there need not be a device of that address.
 */
bool pci_address(const char *text, char address[static 32]);

/**
 * pci_read() - Read what sysfs says of a device
 * @d: gets it; to be given to pci_free()
 * @address: whole address
 *
 * Return: false when there is no such device.
 */
bool pci_read(struct pci_device *d, const char *address);
void pci_free(struct pci_device *d);
/* The same, or the end: BAD_USAGE for what cannot be an address, NOT_USABLE when there is no such device. */
void pci_must_read(struct pci_device *d, const char *text);

/* All devices by address; -1 with errno when there is no PCI bus. pci_free_all() takes them. */
int pci_read_all(struct pci_device **devices);
void pci_free_all(struct pci_device *devices, int count);

/* Does VFIO drive it, and does its driver leave DMA to whoever owns the group? */
bool pci_is_vfio(const struct pci_device *d);
bool pci_is_harmless(const struct pci_device *d);
bool pci_is_bridge(const struct pci_device *d);
/* Does VFIO take devices for which no IOMMU translates? */
bool pci_unsafe_mode(void);

/*
 * Devices of the group of @d that drivers of the kernel have, @d itself left out: names in the form of list_dir(),
 * those of devices that are not PCI included.
 */
int pci_group_foreign(const struct pci_device *d, char ***names);
/* The driver of a device of a group, which may be on another bus; NULL for none */
char *group_member_driver(const char *group, const char *name);

/*
 * Processes, of those that this user may look at, that have the node or the group open, or the node mapped. To be given
 * to free_holders().
 */
int pci_holders(const struct pci_device *d, struct holder **holders);
void free_holders(struct holder *holders, int count);

enum pci_usable pci_usable(const struct pci_device *d);
/* One or two words, and the same for programs */
const char *pci_usable_text(enum pci_usable u);
const char *pci_usable_key(enum pci_usable u);

/*
 * "Intel Corporation 82576 Gigabit Network Connection", and without the vendor; numbers when nothing knows a name.
 * They last until the next call.
 */
const char *pci_device_name(const struct pci_device *d);
const char *pci_short_name(const struct pci_device *d);
/* "Ethernet controller" */
const char *pci_class_name(const struct pci_device *d);

#endif
