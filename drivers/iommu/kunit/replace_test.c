// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "iommu_replace": what the core asks of a driver, in which order, and what it does when the driver refuses
 *
 * Two drivers write down each call. One has all operations; the other is as drivers of Linux 6.1 are that have
 * detach_dev and nothing else. All devices of a test share one group, unless it says otherwise.
 */
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/msi.h>
#include <linux/slab.h>

#include "../iommu-priv.h"

#define DEVICES		3
#define PLENTY		100	/* PASIDs */
#define WINDOW		0x8000000

struct script_device {
	struct device dev;
	unsigned int nr;
	int pasids;		/* what pasid_enable() answers */
	struct iommu_resv_region window;	/* for doorbells, if it has a length */
};

struct script_domain {
	struct iommu_domain domain;
	char name;		/* those of users are A, B, ... */
};

/*
 * What the drivers write down, and what they are to refuse. In @calls it is an operation, the device, and "/" with the
 * PASID; or a domain, "+" for a page that is mapped or "-" for one that is unmapped, and where.
 */
static struct script {
	struct script_device *devices[DEVICES];
	struct iommu_group *group;
	unsigned int split;	/* devices from this one on have groups of their own; 0: none */
	size_t window;		/* bytes of the window for doorbells */
	char names;
	char calls[512];
	size_t used;
	const char *refuse;	/* the call that fails, once */
	int user;		/* the owner, by its address */
} script;

static struct script_device *to_script_device(struct device *dev)
{
	return container_of(dev, struct script_device, dev);
}

/* Write a call down. Return: 0, or -ENOSPC when it is the one to refuse. */
static int write_down(const char *call)
{
	script.used += scnprintf(script.calls + script.used, sizeof(script.calls) - script.used, "%s%s",
				 script.used ? " " : "", call);
	if (!script.refuse || strcmp(script.refuse, call))
		return 0;
	script.refuse = NULL;
	return -ENOSPC;
}

static int called(const char *what, struct device *dev, ioasid_t pasid)
{
	char call[32];
	int len;

	len = scnprintf(call, sizeof(call), "%s%u", what, to_script_device(dev)->nr);
	if (pasid != IOMMU_NO_PASID)
		scnprintf(call + len, sizeof(call) - len, "/%u", pasid);
	return write_down(call);
}

static int called_for_page(struct iommu_domain *domain, char what, unsigned long iova)
{
	char call[32];

	scnprintf(call, sizeof(call), "%c%c%lx", container_of(domain, struct script_domain, domain)->name, what, iova);
	return write_down(call);
}

/* ---- the driver that has all operations ---- */

static int script_attach(struct iommu_domain *domain, struct device *dev)
{
	return called("attach", dev, IOMMU_NO_PASID);
}

static int script_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	return called("prepare", dev, IOMMU_NO_PASID);
}

static void script_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	called("commit", dev, IOMMU_NO_PASID);
}

static void script_replace_abort(struct iommu_domain *domain, struct device *dev)
{
	called("abort", dev, IOMMU_NO_PASID);
}

static int script_pasid_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
				ioasid_t pasid)
{
	return called(old ? "change" : "prepare", dev, pasid);
}

static void script_pasid_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
				ioasid_t pasid)
{
	called("commit", dev, pasid);
}

static void script_pasid_abort(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	called("abort", dev, pasid);
}

static int script_pasid_enable(struct device *dev)
{
	int rc = called("enable", dev, IOMMU_NO_PASID);

	return rc ?: to_script_device(dev)->pasids;
}

static void script_pasid_disable(struct device *dev)
{
	called("disable", dev, IOMMU_NO_PASID);
}

static void script_pasid_remove(struct iommu_domain *old, struct device *dev, ioasid_t pasid)
{
	called("remove", dev, pasid);
}

static int script_map(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys, size_t size, int prot,
		      gfp_t gfp)
{
	return called_for_page(domain, '+', iova);
}

static size_t script_unmap(struct iommu_domain *domain, unsigned long iova, size_t size,
			   struct iommu_iotlb_gather *gather)
{
	called_for_page(domain, '-', iova);
	return size;
}

static void script_free(struct iommu_domain *domain)
{
	kfree(container_of(domain, struct script_domain, domain));
}

static struct iommu_domain *script_alloc(unsigned int type)
{
	struct script_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL);

	if (!domain)
		return NULL;
	if (type == IOMMU_DOMAIN_UNMANAGED)
		domain->name = 'A' + script.names++;
	return &domain->domain;
}

static int script_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static struct iommu_device script_hardware;

static struct iommu_device *script_probe(struct device *dev)
{
	return &script_hardware;
}

static void script_release(struct device *dev)
{
	called("release", dev, IOMMU_NO_PASID);
}

static struct iommu_group *script_device_group(struct device *dev)
{
	struct script_device *first = script.devices[0];

	if (&first->dev == dev || (script.split && to_script_device(dev)->nr >= script.split))
		return iommu_group_alloc();
	return iommu_group_get(&first->dev);
}

static void keep_region(struct device *dev, struct iommu_resv_region *region)
{
}

static void script_get_resv_regions(struct device *dev, struct list_head *list)
{
	struct iommu_resv_region *window = &to_script_device(dev)->window;

	if (window->length)
		list_add_tail(&window->list, list);
}

static const struct iommu_ops script_ops = {
	.owner = THIS_MODULE,
	.domain_alloc = script_alloc,
	.def_domain_type = script_def_domain_type,
	.probe_device = script_probe,
	.release_device = script_release,
	.device_group = script_device_group,
	.get_resv_regions = script_get_resv_regions,
	.pgsize_bitmap = PAGE_SIZE,
	.pasid_enable = script_pasid_enable,
	.pasid_disable = script_pasid_disable,
	.pasid_remove = script_pasid_remove,
	.default_domain_ops = &(const struct iommu_domain_ops) {
		.attach_dev = script_attach,
		.replace_prepare = script_replace_prepare,
		.replace_commit = script_replace_commit,
		.replace_abort = script_replace_abort,
		.pasid_prepare = script_pasid_prepare,
		.pasid_commit = script_pasid_commit,
		.pasid_abort = script_pasid_abort,
		.map = script_map,
		.unmap = script_unmap,
		.free = script_free,
	},
};

/* ---- the driver that has detach_dev, and no domain but those of users ---- */

static void script_detach(struct iommu_domain *domain, struct device *dev)
{
	called("detach", dev, IOMMU_NO_PASID);
}

static struct iommu_domain *script_alloc_unmanaged(unsigned int type)
{
	return type == IOMMU_DOMAIN_UNMANAGED ? script_alloc(type) : NULL;
}

static const struct iommu_ops script_old_ops = {
	.owner = THIS_MODULE,
	.domain_alloc = script_alloc_unmanaged,
	.probe_device = script_probe,
	.release_device = script_release,
	.device_group = script_device_group,
	.default_domain_ops = &(const struct iommu_domain_ops) {
		.attach_dev = script_attach,
		.detach_dev = script_detach,
		.free = script_free,
	},
};

/* ---- a bus for each, with the devices of a test ---- */

static struct bus_type script_bus = {
	.name = "iommu_script",
};

static struct bus_type script_old_bus = {
	.name = "iommu_script_old",
};

static void script_device_release(struct device *dev)
{
	kfree(to_script_device(dev));
}

static void unplug(unsigned int nr)
{
	struct script_device *device = script.devices[nr];

	iommu_mock_bus_remove_device(&device->dev);
	device_unregister(&device->dev);
	script.devices[nr] = NULL;
}

static void plug_in(struct kunit *test, struct bus_type *bus, unsigned int nr)
{
	struct script_device *device = kzalloc(sizeof(*device), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, device);
	device->nr = nr;
	device->pasids = PLENTY;
	device->window.start = WINDOW;
	device->window.length = script.window;
	device->window.type = IOMMU_RESV_SW_MSI;
	device->window.free = keep_region;
	device_initialize(&device->dev);
	device->dev.bus = bus;
	device->dev.release = script_device_release;
	dev_set_name(&device->dev, "%s%u", bus->name, nr);
	KUNIT_ASSERT_EQ(test, device_add(&device->dev), 0);
	script.devices[nr] = device;
	KUNIT_ASSERT_EQ(test, iommu_mock_bus_add_device(&device->dev), 0);
}

static void start(struct kunit *test, struct bus_type *bus, const struct iommu_ops *ops)
{
	unsigned int i;

	KUNIT_ASSERT_EQ(test, bus_register(bus), 0);
	test->priv = bus;
	KUNIT_ASSERT_EQ(test, iommu_mock_bus_register(bus, &script_hardware, ops), 0);
	for (i = 0; i < DEVICES; i++)
		plug_in(test, bus, i);
	script.group = iommu_group_get(&script.devices[0]->dev);
}

static int replace_init(struct kunit *test)
{
	memset(&script, 0, sizeof(script));
	return iommu_device_sysfs_add(&script_hardware, NULL, NULL, "iommu_script");
}

static void replace_exit(struct kunit *test)
{
	struct bus_type *bus = test->priv;
	unsigned int i;

	for (i = 0; i < DEVICES; i++) {
		if (script.devices[i])
			unplug(i);
	}
	iommu_group_put(script.group);
	if (bus) {
		bus_unregister(bus);
		bus->iommu_ops = NULL;
	}
	iommu_device_sysfs_remove(&script_hardware);
}

/* ---- steps ---- */

static void forget_calls(void)
{
	script.used = 0;
	script.calls[0] = 0;
}

static void expect_calls(struct kunit *test, const char *calls)
{
	KUNIT_EXPECT_STREQ(test, script.calls, calls);
	forget_calls();
}

static struct device *device(unsigned int nr)
{
	return &script.devices[nr]->dev;
}

static void own(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(device(0), &script.user), 0);
	forget_calls();
}

/* By any device that is left */
static void disown(void)
{
	iommu_device_release_dma_owner(device(script.devices[0] ? 0 : 1));
}

static struct iommu_attach_handle handle_of_new_domain(struct kunit *test)
{
	struct iommu_attach_handle handle = { .domain = iommu_domain_alloc_for_device(device(0), 0) };

	KUNIT_ASSERT_FALSE(test, IS_ERR(handle.domain));
	return handle;
}

/* Two domains for a group that has an owner */
static void start_with_two(struct kunit *test, struct iommu_attach_handle *first, struct iommu_attach_handle *second)
{
	start(test, &script_bus, &script_ops);
	own(test);
	*first = handle_of_new_domain(test);
	*second = handle_of_new_domain(test);
}

static void end_with_two(struct iommu_attach_handle *first, struct iommu_attach_handle *second)
{
	disown();
	iommu_domain_free(first->domain);
	iommu_domain_free(second->domain);
}

/* A page of an interrupt controller */
static phys_addr_t doorbell(unsigned int nr)
{
	return 0x28080000 + nr * 0x20000;
}

/* Set up an interrupt of a device whose message goes to @iova, where messages are translated */
static int set_up_interrupt(struct kunit *test, unsigned int nr, phys_addr_t doorbell, u64 iova)
{
	const unsigned int offset = 0x40;
	struct msi_desc desc = { .dev = device(nr) };
	struct msi_msg msg = {
		.address_lo = lower_32_bits(doorbell) + offset, .address_hi = upper_32_bits(doorbell),
	};
	int rc = iommu_dma_prepare_msi(&desc, doorbell + offset);

	iommu_dma_compose_msi_msg(&desc, &msg);
	if (!rc && IS_ENABLED(CONFIG_IRQ_MSI_IOMMU))
		KUNIT_EXPECT_EQ(test, (u64)msg.address_hi << 32 | msg.address_lo, iova + offset);
	return rc;
}

/* The same with a window of @pages, and interrupts at two doorbells */
static void start_with_doorbells(struct kunit *test, unsigned int pages, struct iommu_attach_handle *first,
				 struct iommu_attach_handle *second)
{
	script.window = pages * PAGE_SIZE;
	start_with_two(test, first, second);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(0), WINDOW), 0);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 1, doorbell(1), WINDOW + PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 2, doorbell(0), WINDOW), 0);
	/* Blocked: there is nothing to map them in */
	expect_calls(test, "");
}

/* ---- cases ---- */

static void replace_asks_all_before_it_moves_one(struct kunit *test)
{
	struct iommu_attach_handle first, second;

	start_with_two(test, &first, &second);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "attach0 attach1 attach2");
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), 0);
	expect_calls(test, "prepare0 prepare1 prepare2 commit0 commit1 commit2");
	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &second);
	expect_calls(test, "attach0 attach1 attach2");
	end_with_two(&first, &second);
}

static void refused_replace_is_undone_backwards(struct kunit *test)
{
	struct iommu_attach_handle first, second;

	start_with_two(test, &first, &second);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "attach0 attach1 attach2");

	script.refuse = "prepare2";
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), -ENOSPC);
	expect_calls(test, "prepare0 prepare1 prepare2 abort1 abort0");
	script.refuse = "prepare0";
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), -ENOSPC);
	expect_calls(test, "prepare0");

	/* It is the first that is attached: a replace of the second is refused, one of the first is not */
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &second, &first), -EBUSY);
	expect_calls(test, "");
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), 0);
	expect_calls(test, "prepare0 prepare1 prepare2 commit0 commit1 commit2");
	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &second);
	end_with_two(&first, &second);
}

static void refused_pasid_is_undone_backwards(struct kunit *test)
{
	struct iommu_attach_handle first, second;
	unsigned int i;

	start_with_two(test, &first, &second);
	for (i = 0; i < DEVICES; i++)
		KUNIT_EXPECT_EQ(test, iommu_device_enable_pasid(device(i)), 0);
	forget_calls();
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, 7, &first), 0);
	expect_calls(test, "prepare0/7 prepare1/7 prepare2/7 commit0/7 commit1/7 commit2/7");
	script.refuse = "change1/7";
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, 7, &first, &second), -ENOSPC);
	expect_calls(test, "change0/7 change1/7 abort0/7");
	script.refuse = "prepare1/8";
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, 8, &second), -ENOSPC);
	expect_calls(test, "prepare0/8 prepare1/8 abort0/8");
	iommu_group_detach_handle(script.group, 7, &first);
	expect_calls(test, "remove0/7 remove1/7 remove2/7");
	end_with_two(&first, &second);
}

static void device_that_comes_later_gets_the_pasids_of_its_group(struct kunit *test)
{
	struct iommu_attach_handle narrow, wide;

	start_with_two(test, &narrow, &wide);
	script.devices[1]->pasids = 10;
	KUNIT_EXPECT_EQ(test, iommu_device_enable_pasid(device(0)), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, 5, &narrow), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, 6, &narrow), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, 50, &wide), 0);
	expect_calls(test, "enable0 prepare0/5 commit0/5 prepare0/6 commit0/6 prepare0/50 commit0/50");

	/* All or none: a device that cannot have one of them is not enabled */
	script.refuse = "prepare1/6";
	KUNIT_EXPECT_EQ(test, iommu_device_enable_pasid(device(1)), -ENOSPC);
	expect_calls(test, "enable1 prepare1/5 prepare1/6 abort1/5 disable1");
	KUNIT_EXPECT_EQ(test, iommu_device_max_pasids(device(1)), 0);

	KUNIT_EXPECT_EQ(test, iommu_device_enable_pasid(device(1)), 0);
	expect_calls(test, "enable1 prepare1/5 prepare1/6 commit1/5 commit1/6");
	KUNIT_EXPECT_EQ(test, iommu_device_max_pasids(device(1)), 10);
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, 50, &wide, &narrow), 0);
	expect_calls(test, "change0/50 commit0/50");

	/* Whoever is removed is blocked while the driver still knows it */
	unplug(0);
	expect_calls(test, "remove0/5 remove0/6 remove0/50 disable0 release0");
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, 50, &narrow, &wide), 0);
	expect_calls(test, "");
	iommu_group_detach_handle(script.group, 50, &wide);
	expect_calls(test, "");

	iommu_device_disable_pasid(device(1));
	expect_calls(test, "remove1/5 remove1/6 disable1");
	iommu_group_detach_handle(script.group, 5, &narrow);
	iommu_group_detach_handle(script.group, 6, &narrow);
	expect_calls(test, "");
	end_with_two(&narrow, &wide);
}

static void what_does_not_fit_asks_no_driver(struct kunit *test)
{
	struct iommu_domain_ops foreign_ops = { .free = script_free };
	struct iommu_domain foreign = { .ops = &foreign_ops };
	struct iommu_attach_handle handle, other = { .domain = &foreign };

	start(test, &script_bus, &script_ops);
	handle = handle_of_new_domain(test);
	forget_calls();
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &handle), -EPERM);
	expect_calls(test, "");
	own(test);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &other), -EINVAL);
	/* No device has PASIDs, and then one that has too few */
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, 1, &handle), -EINVAL);
	script.devices[0]->pasids = 0;
	KUNIT_EXPECT_EQ(test, iommu_device_enable_pasid(device(0)), 0);
	KUNIT_EXPECT_EQ(test, iommu_device_enable_pasid(device(1)), 0);
	KUNIT_EXPECT_EQ(test, iommu_device_max_pasids(device(0)), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, PLENTY, &handle), -EINVAL);
	expect_calls(test, "enable0 enable1");
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, PLENTY - 1, &handle), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, PLENTY - 1, &handle), -EBUSY);
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, 1, &handle, &handle), -EBUSY);
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, PLENTY - 1, &handle, &other), -EINVAL);
	expect_calls(test, "prepare1/99 commit1/99");
	iommu_group_detach_handle(script.group, PLENTY - 1, &handle);
	disown();
	iommu_domain_free(handle.domain);
}

/* What such a driver could do in Linux 6.1 it still does, and what it cannot do changes nothing */
static void old_driver_attaches_and_refuses_to_replace(struct kunit *test)
{
	struct iommu_attach_handle first, second;

	start(test, &script_old_bus, &script_old_ops);
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(device(0), &script.user), 0);
	/* Blocked by a domain in which nothing is mapped */
	expect_calls(test, "attach0 attach1 attach2");
	first = handle_of_new_domain(test);
	second = handle_of_new_domain(test);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "attach0 attach1 attach2");

	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, iommu_device_enable_pasid(device(0)), 0);
	KUNIT_EXPECT_EQ(test, iommu_device_max_pasids(device(0)), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, 1, &second), -EOPNOTSUPP);
	expect_calls(test, "");

	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &first);
	expect_calls(test, "attach0 attach1 attach2");
	disown();
	expect_calls(test, "detach0 detach1 detach2");
	iommu_domain_free(first.domain);
	iommu_domain_free(second.domain);
}

static void doorbells_are_mapped_before_a_switch_and_unmapped_after_it(struct kunit *test)
{
	struct iommu_attach_handle first, second;

	start_with_doorbells(test, 4, &first, &second);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "A+8000000 A+8001000 attach0 attach1 attach2");

	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), 0);
	expect_calls(test,
		     "B+8000000 B+8001000 prepare0 prepare1 prepare2 commit0 commit1 commit2 A-8000000 A-8001000");

	/* One that comes while the group is attached, then one that is there */
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(2), WINDOW + 2 * PAGE_SIZE), 0);
	expect_calls(test, "B+8002000");
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 2, doorbell(2), WINDOW + 2 * PAGE_SIZE), 0);
	expect_calls(test, "");
	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &second);
	expect_calls(test, "attach0 attach1 attach2 B-8000000 B-8001000 B-8002000");
	end_with_two(&first, &second);
}

static void doorbells_that_cannot_be_mapped_leave_nothing(struct kunit *test)
{
	struct iommu_attach_handle first, second;

	start_with_doorbells(test, 4, &first, &second);
	script.refuse = "A+8001000";
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), -ENOSPC);
	expect_calls(test, "A+8000000 A+8001000 A-8000000");
	script.refuse = "attach1";
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), -ENOSPC);
	expect_calls(test, "A+8000000 A+8001000 attach0 attach1 attach0 attach1 attach2 A-8000000 A-8001000");
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "A+8000000 A+8001000 attach0 attach1 attach2");

	script.refuse = "B+8001000";
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), -ENOSPC);
	expect_calls(test, "B+8000000 B+8001000 B-8000000");
	script.refuse = "prepare1";
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), -ENOSPC);
	expect_calls(test, "B+8000000 B+8001000 prepare0 prepare1 abort0 B-8000000 B-8001000");

	/* An interrupt that failed has taken no place */
	script.refuse = "A+8002000";
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(2), 0), -ENOSPC);
	expect_calls(test, "A+8002000");
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(3), WINDOW + 2 * PAGE_SIZE), 0);
	expect_calls(test, "A+8002000");
	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &first);
	end_with_two(&first, &second);
}

static void doorbells_stay_while_another_group_uses_them(struct kunit *test)
{
	struct iommu_attach_handle first, second, other;
	struct iommu_group *group;

	script.split = 2;
	script.window = 4 * PAGE_SIZE;
	start_with_two(test, &first, &second);
	group = iommu_group_get(device(2));
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(device(2), &script.user), 0);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(0), WINDOW), 0);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 2, doorbell(1), WINDOW + PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 2, doorbell(0), WINDOW), 0);
	other = first;
	forget_calls();

	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "A+8000000 attach0 attach1");
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(group, IOMMU_NO_PASID, &other), 0);
	expect_calls(test, "A+8001000 attach2");
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 1, doorbell(1), WINDOW + PAGE_SIZE), 0);
	expect_calls(test, "");
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), 0);
	expect_calls(test, "B+8000000 B+8001000 prepare0 prepare1 commit0 commit1");
	iommu_group_detach_handle(group, IOMMU_NO_PASID, &other);
	expect_calls(test, "attach2 A-8000000 A-8001000");
	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &second);
	expect_calls(test, "attach0 attach1 B-8000000 B-8001000");

	iommu_device_release_dma_owner(device(2));
	iommu_group_put(group);
	end_with_two(&first, &second);
}

static void doorbells_under_a_domain_that_a_guest_writes(struct kunit *test)
{
	struct iommu_attach_handle first, second;

	start_with_doorbells(test, 4, &first, &second);
	first.parent = second.domain;
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "B+8000000 B+8001000 attach0 attach1 attach2");
	/* To what it stands on: there they are, and there they stay */
	KUNIT_EXPECT_EQ(test, iommu_group_replace_handle(script.group, IOMMU_NO_PASID, &first, &second), 0);
	expect_calls(test, "prepare0 prepare1 prepare2 commit0 commit1 commit2");
	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &second);
	expect_calls(test, "attach0 attach1 attach2 B-8000000 B-8001000");
	end_with_two(&first, &second);
}

static void window_is_that_of_the_group_and_may_be_full(struct kunit *test)
{
	struct iommu_attach_handle first, second;

	start_with_doorbells(test, 2, &first, &second);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(2), 0), -ENOSPC);

	script.devices[1]->window.start += PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, iommu_device_claim_dma_owner(device(1), &script.user), -EINVAL);
	script.devices[2]->window.length = 0;
	KUNIT_EXPECT_EQ(test, iommu_device_claim_dma_owner(device(2), &script.user), 0);
	iommu_device_release_dma_owner(device(2));

	/* A new owner begins with nothing; and a window is not opened when part of the group is in use without one */
	disown();
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(device(2), &script.user), 0);
	KUNIT_EXPECT_EQ(test, iommu_device_claim_dma_owner(device(0), &script.user), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(2), doorbell(2)), 0);
	iommu_device_release_dma_owner(device(2));
	own(test);
	KUNIT_EXPECT_EQ(test, set_up_interrupt(test, 0, doorbell(2), WINDOW), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(script.group, IOMMU_NO_PASID, &first), 0);
	expect_calls(test, "A+8000000 attach0 attach1 attach2");
	iommu_group_detach_handle(script.group, IOMMU_NO_PASID, &first);
	end_with_two(&first, &second);
}

static struct kunit_case replace_cases[] = {
	KUNIT_CASE(replace_asks_all_before_it_moves_one),
	KUNIT_CASE(refused_replace_is_undone_backwards),
	KUNIT_CASE(refused_pasid_is_undone_backwards),
	KUNIT_CASE(device_that_comes_later_gets_the_pasids_of_its_group),
	KUNIT_CASE(what_does_not_fit_asks_no_driver),
	KUNIT_CASE(old_driver_attaches_and_refuses_to_replace),
	KUNIT_CASE(doorbells_are_mapped_before_a_switch_and_unmapped_after_it),
	KUNIT_CASE(doorbells_that_cannot_be_mapped_leave_nothing),
	KUNIT_CASE(doorbells_stay_while_another_group_uses_them),
	KUNIT_CASE(doorbells_under_a_domain_that_a_guest_writes),
	KUNIT_CASE(window_is_that_of_the_group_and_may_be_full),
	{}
};

static struct kunit_suite replace_suite = {
	.name = "iommu_replace",
	.init = replace_init,
	.exit = replace_exit,
	.test_cases = replace_cases,
};

kunit_test_suite(replace_suite);
