/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef IOMMUCTL_HOST_USE_H
#define IOMMUCTL_HOST_USE_H

#include "pci.h"

/**
 * host_use() - What this machine would lose with a device
 * @d: device
 *
 * Return: "/home is mounted from sda1", "network interface eth0 is up", to be freed; NULL when nothing was found.
 */
char *host_use(const struct pci_device *d);

#endif
