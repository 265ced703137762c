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
 * @ats_seen: how much of that the walking thread has seen
 */
struct soft_pci_function {
	u8 devfn;
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	unsigned int ats_starts;
	unsigned int ats_seen;
};

/*
 * struct soft_pci - A PCI segment without hardware
 * @found: called for each function before the IOMMU core sees it; may be NULL
 * @nr: how many functions
 * @misused: how often the PASID capability was changed while ATS was on, which PCIe leaves undefined
 */
struct soft_pci {
#ifdef CONFIG_X86
	struct pci_sysdata sysdata;
#endif
	struct pci_ops ops;
	struct resource busn;
	struct pci_bus *bus;
	void (*found)(struct soft_pci *pci, struct pci_dev *pdev);
	struct soft_pci_function functions[SOFT_PCI_FUNCTIONS];
	unsigned int nr;
	unsigned int misused;
};

/* Where a function is that also sends with the requester ID of the function after it, in which there is nothing */
#define SOFT_PCI_ALIASED	PCI_DEVFN(3, 0)

int soft_pci_start(struct soft_pci *pci, u16 segment, const u8 *devfns, unsigned int nr);
void soft_pci_stop(struct soft_pci *pci);
struct pci_dev *soft_pci_device(struct soft_pci *pci, unsigned int i);
struct soft_pci_function *soft_pci_function(struct soft_pci *pci, unsigned int devfn);
bool soft_pci_ats_enabled(const struct soft_pci_function *function);
bool soft_pci_ats_restarted(struct soft_pci_function *function);
bool soft_pci_pasid_enabled(const struct soft_pci_function *function);

#endif
