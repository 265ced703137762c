// SPDX-License-Identifier: GPL-2.0-only
/*
 * soft_pci - a PCI segment of its own, whose functions are memory and nothing else
 *
 * They are integrated endpoints with PASID and ATS that claim no resource. The PCI core and the IOMMU core treat them
 * like any other device: they are found, probed and put into groups, and they can be removed.
 */
#include <linux/minmax.h>
#include <linux/numa.h>
#include <linux/string.h>

#include "soft_pci.h"

#define CAP_EXP		0x40
#define CAP_PASID	0x100
#define CAP_ATS		0x110
#define PASID_BITS	20
#define VENDOR		0x7e57
#define DEVICE		0x0001

/**
 * soft_pci_function() - What is at a place on the bus
 * @pci: the segment
 * @devfn: device and function
 *
 * Return: the function, or NULL when there is none.
 */
struct soft_pci_function *soft_pci_function(struct soft_pci *pci, unsigned int devfn)
{
	unsigned int i;

	for (i = 0; i < pci->nr; i++) {
		if (pci->functions[i].devfn == devfn)
			return &pci->functions[i];
	}
	return NULL;
}

static u32 get(const u8 *at, int size)
{
	u32 value = 0;

	memcpy(&value, at, size);
	return value;
}

static int config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct soft_pci *pci = container_of(bus->ops, struct soft_pci, ops);
	struct soft_pci_function *function = soft_pci_function(pci, devfn);

	if (!function || where + size > PCI_CFG_SPACE_EXP_SIZE) {
		PCI_SET_ERROR_RESPONSE(value);
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	*value = get(&function->config[where], size);
	return PCIBIOS_SUCCESSFUL;
}

/* All but these registers is read-only */
static int config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct soft_pci *pci = container_of(bus->ops, struct soft_pci, ops);
	struct soft_pci_function *function = soft_pci_function(pci, devfn);

	if (!function)
		return PCIBIOS_DEVICE_NOT_FOUND;

	switch (where) {
	case CAP_PASID + PCI_PASID_CTRL:
		if (soft_pci_ats_enabled(function))
			pci->misused++;
		fallthrough;
	case PCI_COMMAND:
	case CAP_EXP + PCI_EXP_DEVCTL:
		memcpy(&function->config[where], &value, min(size, 2));
		break;
	case CAP_ATS + PCI_ATS_CTRL:
		if (!soft_pci_ats_enabled(function) && value & PCI_ATS_CTRL_ENABLE)
			WRITE_ONCE(function->ats_starts, function->ats_starts + 1);
		smp_wmb(); /* pairs with soft_pci_ats_restarted() */
		memcpy(&function->config[where], &value, min(size, 2));
	}
	return PCIBIOS_SUCCESSFUL;
}

static void put(struct soft_pci_function *function, int where, int size, u32 value)
{
	memcpy(&function->config[where], &value, size);
}

static void make_function(struct soft_pci_function *function, u8 devfn, bool multifunction)
{
	function->devfn = devfn;
	put(function, PCI_VENDOR_ID, 2, VENDOR);
	put(function, PCI_DEVICE_ID, 2, DEVICE);
	put(function, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	put(function, PCI_CLASS_DEVICE, 2, PCI_CLASS_OTHERS << 8);
	put(function, PCI_HEADER_TYPE, 1, multifunction ? 0x80 : 0);
	put(function, PCI_CAPABILITY_LIST, 1, CAP_EXP);

	put(function, CAP_EXP, 1, PCI_CAP_ID_EXP);
	put(function, CAP_EXP + PCI_EXP_FLAGS, 2, 2 | PCI_EXP_TYPE_RC_END << 4);
	put(function, CAP_EXP + PCI_EXP_DEVCAP2, 4, PCI_EXP_DEVCAP2_EE_PREFIX);

	put(function, CAP_PASID, 4, PCI_EXT_CAP_ID_PASID | 1 << 16 | CAP_ATS << 20);
	put(function, CAP_PASID + PCI_PASID_CAP, 2, PASID_BITS << 8);
	put(function, CAP_ATS, 4, PCI_EXT_CAP_ID_ATS | 1 << 16);
	put(function, CAP_ATS + PCI_ATS_CAP, 2, PCI_ATS_CAP_PAGE_ALIGNED);
}

static void find(struct pci_dev *pdev)
{
	struct soft_pci *pci = container_of(pdev->bus->ops, struct soft_pci, ops);

	if (pdev->devfn == SOFT_PCI_ALIASED)
		pci_add_dma_alias(pdev, SOFT_PCI_ALIASED + 1, 1);
	if (pci->found)
		pci->found(pci, pdev);
}
DECLARE_PCI_FIXUP_HEADER(VENDOR, DEVICE, find);

/* Called by the walking thread while the PCI core may write */
bool soft_pci_ats_enabled(const struct soft_pci_function *function)
{
	return READ_ONCE(function->config[CAP_ATS + PCI_ATS_CTRL + 1]) & (PCI_ATS_CTRL_ENABLE >> 8);
}

/* Called by the walking thread while ATS is enabled: has the device forgotten everything since the last call? */
bool soft_pci_ats_restarted(struct soft_pci_function *function)
{
	unsigned int starts;

	smp_rmb(); /* pairs with config_write() */
	starts = READ_ONCE(function->ats_starts);
	if (starts == function->ats_seen)
		return false;
	function->ats_seen = starts;
	return true;
}

bool soft_pci_pasid_enabled(const struct soft_pci_function *function)
{
	return READ_ONCE(function->config[CAP_PASID + PCI_PASID_CTRL]) & PCI_PASID_CTRL_ENABLE;
}

/**
 * soft_pci_start() - Make a segment and let the kernel find what is on it
 * @pci: the segment, zeroed apart from @found
 * @segment: its number, which nothing else has
 * @devfns: where functions are; several of one device end up in one group
 * @nr: how many
 *
 * Return: 0, or -errno.
 */
int soft_pci_start(struct soft_pci *pci, u16 segment, const u8 *devfns, unsigned int nr)
{
	struct pci_host_bridge *bridge;
	unsigned int i, j;
	int rc;

	if (WARN_ON(nr > SOFT_PCI_FUNCTIONS))
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		bool multifunction = false;

		for (j = 0; j < nr; j++)
			multifunction |= i != j && PCI_SLOT(devfns[i]) == PCI_SLOT(devfns[j]);
		make_function(&pci->functions[i], devfns[i], multifunction);
	}
	pci->nr = nr;
	pci->ops = (struct pci_ops){ .read = config_read, .write = config_write };
	pci->busn = (struct resource){ .name = "soft PCI", .flags = IORESOURCE_BUS };

	bridge = pci_alloc_host_bridge(0);
	if (!bridge)
		return -ENOMEM;
	bridge->ops = &pci->ops;
	bridge->domain_nr = segment;
#ifdef CONFIG_X86
	pci->sysdata = (struct pci_sysdata){ .domain = segment, .node = NUMA_NO_NODE };
	bridge->sysdata = &pci->sysdata;
#endif
	pci_add_resource(&bridge->windows, &pci->busn);

	pci_lock_rescan_remove();
	rc = pci_scan_root_bus_bridge(bridge);
	if (!rc)
		pci_bus_add_devices(bridge->bus);
	pci_unlock_rescan_remove();
	if (rc) {
		pci_free_host_bridge(bridge);
		return rc;
	}
	pci->bus = bridge->bus;
	return 0;
}

/**
 * soft_pci_stop() - Remove a segment with all that is on it
 * @pci: the segment
 */
void soft_pci_stop(struct soft_pci *pci)
{
	struct device *bridge;

	if (!pci->bus)
		return;
	bridge = pci->bus->bridge;
	pci_lock_rescan_remove();
	pci_stop_root_bus(pci->bus);
	pci_remove_root_bus(pci->bus);
	pci_unlock_rescan_remove();
	/* The first reference of a host bridge is its maker's, and the one of its bus goes with the bus */
	put_device(bridge);
	pci->bus = NULL;
}

/**
 * soft_pci_device() - What the kernel made of a function
 * @pci: the segment
 * @i: which one
 *
 * Return: the device, with a reference taken; or NULL when it was not found or is removed.
 */
struct pci_dev *soft_pci_device(struct soft_pci *pci, unsigned int i)
{
	return pci->bus ? pci_get_slot(pci->bus, pci->functions[i].devfn) : NULL;
}
