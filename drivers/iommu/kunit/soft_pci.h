/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMU_KUNIT_SOFT_PCI_H
#define __IOMMU_KUNIT_SOFT_PCI_H

#include <linux/pci.h>

#define SOFT_PCI_FUNCTIONS	4

/*
 * struct soft_pci_function - A PCI function without hardware
 * @devfn: where on the bus
 * @config: its configuration space
 * @ats_starts: how often ATS was enabled; each time the device forgets all translations
 */
struct soft_pci_function {
	u8 devfn;
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	unsigned int ats_starts;
};

/*
 * struct soft_pci - A PCI segment without hardware
 * @nr: how many functions
 * @misused: how often the PASID capability was changed while ATS was on, which PCIe leaves undefined
 */
struct soft_pci {
	struct pci_sysdata sysdata;
	struct pci_ops ops;
	struct resource busn;
	struct pci_bus *bus;
	struct soft_pci_function functions[SOFT_PCI_FUNCTIONS];
	unsigned int nr;
	unsigned int misused;
};

/* Where a function is that also sends with the requester ID of the function after it, in which there is nothing */
#define SOFT_PCI_ALIASED	PCI_DEVFN(3, 0)

int soft_pci_start(struct soft_pci *pci, u16 segment, const u8 *devfns, unsigned int nr);
void soft_pci_stop(struct soft_pci *pci);
struct pci_dev *soft_pci_device(struct soft_pci *pci, unsigned int i);
bool soft_pci_ats_enabled(const struct soft_pci_function *function);
bool soft_pci_pasid_enabled(const struct soft_pci_function *function);

#endif
