/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VFIO_PCI_DMABUF_H
#define VFIO_PCI_DMABUF_H

#include <linux/vfio_pci_core.h>

#ifdef CONFIG_VFIO_PCI_DMABUF
int vfio_pci_bars_init(void);
void vfio_pci_bars_exit(void);
int vfio_pci_bars_create(struct vfio_pci_core_device *vdev);
void vfio_pci_bars_destroy(struct vfio_pci_core_device *vdev);
int vfio_pci_bars_export(struct vfio_device *device, u32 flags, void __user *arg, size_t argsz);
void vfio_pci_bars_block(struct vfio_pci_core_device *vdev);
void vfio_pci_bars_resume(struct vfio_pci_core_device *vdev);
void vfio_pci_bars_close(struct vfio_pci_core_device *vdev);
#else
static inline int vfio_pci_bars_init(void)
{
	return 0;
}

static inline void vfio_pci_bars_exit(void)
{
}

static inline int vfio_pci_bars_create(struct vfio_pci_core_device *vdev)
{
	return 0;
}

static inline void vfio_pci_bars_destroy(struct vfio_pci_core_device *vdev)
{
}

static inline int vfio_pci_bars_export(struct vfio_device *device, u32 flags, void __user *arg, size_t argsz)
{
	return -ENOTTY;
}

static inline void vfio_pci_bars_block(struct vfio_pci_core_device *vdev)
{
}

static inline void vfio_pci_bars_resume(struct vfio_pci_core_device *vdev)
{
}

static inline void vfio_pci_bars_close(struct vfio_pci_core_device *vdev)
{
}
#endif

/* Ends what may have changed whether the BARs answer */
static inline void vfio_pci_memory_up_write(struct vfio_pci_core_device *vdev)
{
	vfio_pci_bars_resume(vdev);
	up_write(&vdev->memory_lock);
}

#endif
