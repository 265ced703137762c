// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "iommu_replace": what the core asks of a driver, in which order, and what it does when the driver refuses
 *
 * Two drivers write down each call. One has all operations; the other is as drivers of Linux 6.1 are that have
 * detach_dev and nothing else. All devices of a test share one group.
 */
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/slab.h>

#include "../iommu-priv.h"

#define DEVICES		3
#define PLENTY		100	/* PASIDs */

struct script_device {
	struct device dev;
	unsigned int nr;
	int pasids;		/* what pasid_enable() answers */
};

/*
 * What the drivers write down, and what they are to refuse. A line of @calls is an operation, the device, and "/" with
 * the PASID.
 */
static struct script {
	struct script_device *devices[DEVICES];
	struct iommu_group *group;
	char calls[512];
	size_t used;
	const char *refuse;	/* the call that fails */
	int user;		/* the owner, by its address */
} script;

static struct script_device *to_script_device(struct device *dev)
{
	return container_of(dev, struct script_device, dev);
}

/* Write a call down. Return: 0, or -ENOSPC when it is the one to refuse. */
static int called(const char *what, struct device *dev, ioasid_t pasid)
{
	char call[32];
	int len;

	len = scnprintf(call, sizeof(call), "%s%u", what, to_script_device(dev)->nr);
	if (pasid != IOMMU_NO_PASID)
		scnprintf(call + len, sizeof(call) - len, "/%u", pasid);
	script.used += scnprintf(script.calls + script.used, sizeof(script.calls) - script.used, "%s%s",
				 script.used ? " " : "", call);
	return script.refuse && !strcmp(script.refuse, call) ? -ENOSPC : 0;
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

static void script_free(struct iommu_domain *domain)
{
	kfree(domain);
}

static struct iommu_domain *script_alloc(unsigned int type)
{
	return kzalloc(sizeof(struct iommu_domain), GFP_KERNEL);
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

	return &first->dev == dev ? iommu_group_alloc() : iommu_group_get(&first->dev);
}

static const struct iommu_ops script_ops = {
	.owner = THIS_MODULE,
	.domain_alloc = script_alloc,
	.def_domain_type = script_def_domain_type,
	.probe_device = script_probe,
	.release_device = script_release,
	.device_group = script_device_group,
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
	script.refuse = NULL;
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
	script.refuse = NULL;
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
	script.refuse = NULL;

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

static struct kunit_case replace_cases[] = {
	KUNIT_CASE(replace_asks_all_before_it_moves_one),
	KUNIT_CASE(refused_replace_is_undone_backwards),
	KUNIT_CASE(refused_pasid_is_undone_backwards),
	KUNIT_CASE(device_that_comes_later_gets_the_pasids_of_its_group),
	KUNIT_CASE(what_does_not_fit_asks_no_driver),
	KUNIT_CASE(old_driver_attaches_and_refuses_to_replace),
	{}
};

static struct kunit_suite replace_suite = {
	.name = "iommu_replace",
	.init = replace_init,
	.exit = replace_exit,
	.test_cases = replace_cases,
};

kunit_test_suite(replace_suite);
