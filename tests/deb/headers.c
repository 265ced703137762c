// SPDX-License-Identifier: GPL-2.0-only
/*
 * headers - a module outside the kernel that calls iommufd; tests/deb/check builds it with the package of headers and
 * loads it on the package of the kernel
 */
#include <linux/iommufd.h>
#include <linux/module.h>

static int fd = -1;
module_param(fd, int, 0444);

static int __init headers_init(void)
{
	struct iommufd_ctx *ictx = iommufd_ctx_from_fd(fd);

	if (!IS_ERR(ictx))
		iommufd_ctx_put(ictx);
	pr_info("headers: fd %d is %s\n", fd, IS_ERR(ictx) ? "no iommufd" : "an iommufd");
	return 0;
}
module_init(headers_init);

static void __exit headers_exit(void)
{
}
module_exit(headers_exit);

MODULE_DESCRIPTION("A module that calls iommufd");
MODULE_LICENSE("GPL");
