/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef IOMMUCTL_PROBE_H
#define IOMMUCTL_PROBE_H

#include "pci.h"

/* How far a program gets with a device */
enum probe_step {
	PROBE_OPEN_IOMMU,
	PROBE_OPEN_NODE,
	PROBE_BIND,
	PROBE_ATTACH,
	PROBE_RANGES,
	PROBE_ALL,
};

struct probe_range {
	unsigned long long start, last;
};

struct probe {
	enum probe_step step; /* the one that failed, or PROBE_ALL */
	int error;
	struct probe_range *ranges; /* where memory can be mapped, with PROBE_ALL */
	int count;
};

/**
 * probe() - Try a device as a program would: open, bind, attach to an empty address space, ask for its ranges
 * @d: device with a node, which nobody uses
 * @p: what came of it, to be given to probe_free()
 *
 * The device is reset by that, as by any program that opens it, and reaches no memory. All is closed again.
 */
void probe(const struct pci_device *d, struct probe *p);
void probe_free(struct probe *p);

#endif
