// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hot reset through a device node: who is affected, in terms of an iommufd
 *
 * Linux 6.1 tells the groups of the devices that a reset of the bus or slot affects, and wants the files of all of them
 * as a proof of ownership. Who holds a device node has no such files. He is told the ids of the devices in his iommufd
 * instead; and what proves that a device is his is that it is bound there, or that one of its group is.
 *
 * Locking: dev_set->lock keeps the devices of the set where they are, and bound as they are.
 */
#include <linux/pci.h>
#include <linux/vfio.h>

#include "vfio_pci_node.h"

/* The device of a record, if it is in the set; only such a device takes part in a reset */
static struct vfio_device *device_of(struct vfio_device_set *dev_set, const struct vfio_pci_dependent_device *record)
{
	struct vfio_device *device;

	lockdep_assert_held(&dev_set->lock);

	list_for_each_entry(device, &dev_set->device_list, dev_set_list) {
		struct pci_dev *pdev = to_pci_dev(device->dev);

		if (pci_domain_nr(pdev->bus) == record->segment && pdev->bus->number == record->bus &&
		    pdev->devfn == record->devfn)
			return device;
	}
	return NULL;
}

/**
 * vfio_pci_node_reset_info() - Say who is affected by a hot reset in terms of the caller's iommufd
 * @caller: device, bound through its node
 * @records: affected devices, by address; each gets an id, or VFIO_PCI_DEVID_OWNED or VFIO_PCI_DEVID_NOT_OWNED
 * @count: records
 *
 * A device that no VFIO driver has is in nobody's hands, and in the way.
 *
 * Context: May sleep. Takes dev_set->lock.
 * Return: VFIO_PCI_HOT_RESET_FLAG_DEV_ID, with VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED if the caller owns all of them.
 */
u32 vfio_pci_node_reset_info(struct vfio_device *caller, struct vfio_pci_dependent_device *records, u32 count)
{
	u32 flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID | VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	struct vfio_device_set *dev_set = caller->dev_set;
	u32 i;

	mutex_lock(&dev_set->lock);
	for (i = 0; i < count; i++) {
		struct vfio_device *device = device_of(dev_set, &records[i]);
		int id = device ? vfio_iommufd_reset_id(caller, device) : VFIO_PCI_DEVID_NOT_OWNED;

		records[i].devid = id;
		if (id == VFIO_PCI_DEVID_NOT_OWNED)
			flags &= ~VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	}
	mutex_unlock(&dev_set->lock);
	return flags;
}
