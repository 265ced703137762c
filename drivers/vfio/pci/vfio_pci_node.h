/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vfio_pci_core.c calls of the files that Linux 6.1 does not have: hot reset through device nodes, and features
 */
#ifndef __VFIO_PCI_NODE_H__
#define __VFIO_PCI_NODE_H__

#include <linux/vfio.h>

#include "../cdev.h"

/* vfio_pci_node_reset.c */
#ifdef CONFIG_VFIO_DEVICE_CDEV
u32 vfio_pci_node_reset_info(struct vfio_device *caller, struct vfio_pci_dependent_device *records, u32 count);
#else
static inline u32 vfio_pci_node_reset_info(struct vfio_device *caller, struct vfio_pci_dependent_device *records,
					   u32 count)
{
	return 0;
}
#endif

/* vfio_pci_bus_master.c */
int vfio_pci_feature_bus_master(struct vfio_device *device, u32 flags, void __user *arg, size_t argsz);

#endif
