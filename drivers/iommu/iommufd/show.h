/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_SHOW_H
#define __IOMMUFD_SHOW_H

struct iommufd_ctx;
struct seq_file;

void iommufd_show_objects(struct iommufd_ctx *ictx, struct seq_file *m);

#endif
