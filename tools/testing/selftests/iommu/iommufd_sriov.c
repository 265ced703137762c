// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_sriov - virtual functions and the function that they belong to, each through its device node
 *
 * Needs an NVMe controller of QEMU that can have two virtual functions. They share a secret with their physical
 * function, the token. All three are on one bus, and each is a group of its own.
 */
#include "iommu_test.h"

#define IOVA		0x100000UL
#define VFS		2
#define NVME		"v00001B36d00000010"
#define ENABLE_SRIOV	"/sys/module/vfio_pci/parameters/enable_sriov"

static const uint8_t token[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
static const uint8_t wrong[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17 };

static int bind_with(int dev, int iommufd, const uint8_t *uuid, uint32_t *id)
{
	struct vfio_device_bind_iommufd cmd = {
		.argsz = sizeof(cmd), .iommufd = iommufd, .flags = uuid ? VFIO_DEVICE_BIND_FLAG_TOKEN : 0,
		.token_uuid_ptr = to_u64(uuid),
	};
	int rc = iommu_call(dev, VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	if (!rc)
		*id = cmd.out_devid;
	return rc;
}

static int set_token(int dev, const uint8_t *uuid)
{
	struct {
		struct vfio_device_feature feature;
		uint8_t uuid[16];
	} cmd = {
		.feature = {
			.argsz = sizeof(cmd), .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
		},
	};

	memcpy(cmd.uuid, uuid, sizeof(cmd.uuid));
	return iommu_call(dev, VFIO_DEVICE_FEATURE, &cmd);
}

static int node_open(const char *bdf)
{
	char node[64];
	int rc = vfio_node(bdf, node, sizeof(node)), fd;

	if (rc)
		return rc;
	fd = open(node, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/**
 * struct functions - Physical function and the virtual ones
 * @iommufd: context
 * @pf: node of the physical function, bound
 * @vf: nodes of the others, not bound; -1 when not open
 * @pf_bdf: address
 * @vf_bdf: addresses
 * @pf_id: device in @iommufd
 */
struct functions {
	int iommufd, pf, vf[VFS];
	char pf_bdf[16], vf_bdf[VFS][16];
	uint32_t pf_id;
};

static int set_attr(const char *bdf, const char *attr, const char *text)
{
	char path[128];

	pci_attr_path(path, sizeof(path), bdf, attr);
	return write_file(path, text);
}

/* @resets: ways to reset the physical function, as in its attribute of that name, when it is opened and closed */
static void functions_open(struct __test_metadata *_metadata, struct functions *f, const char *resets)
{
	char link[64], name[64];

	f->pf = -1;
	f->vf[0] = -1;
	f->vf[1] = -1;
	ASSERT_EQ(0, pci_find(NVME, 0, f->pf_bdf));
	ASSERT_EQ(0, write_file(ENABLE_SRIOV, "1"));
	ASSERT_EQ(0, pci_use_vfio(f->pf_bdf));
	ASSERT_EQ(0, set_attr(f->pf_bdf, "reset_method", resets));
	f->iommufd = iommu_open();
	ASSERT_LE(0, f->iommufd) TH_LOG("/dev/iommu: %s", strerror(-f->iommufd));
	f->pf = node_open(f->pf_bdf);
	ASSERT_LE(0, f->pf);
	ASSERT_EQ(0, bind_with(f->pf, f->iommufd, NULL, &f->pf_id));
	ASSERT_EQ(0, set_token(f->pf, token));
	ASSERT_EQ(0, set_attr(f->pf_bdf, "sriov_numvfs", "2"));
	for (int i = 0; i < VFS; i++) {
		snprintf(link, sizeof(link), "virtfn%d", i);
		ASSERT_EQ(0, pci_link(f->pf_bdf, link, name, sizeof(name)));
		snprintf(f->vf_bdf[i], sizeof(f->vf_bdf[i]), "%.12s", name);
		f->vf[i] = node_open(f->vf_bdf[i]);
		ASSERT_LE(0, f->vf[i]) TH_LOG("%s: %s", f->vf_bdf[i], strerror(-f->vf[i]));
	}
}

static void functions_close(struct __test_metadata *_metadata, struct functions *f)
{
	for (int i = 0; i < VFS; i++)
		if (f->vf[i] >= 0)
			close(f->vf[i]);
	EXPECT_EQ(0, set_attr(f->pf_bdf, "sriov_numvfs", "0"));
	EXPECT_EQ(0, set_attr(f->pf_bdf, "reset_method", "default"));
	if (f->pf >= 0)
		close(f->pf);
	close(f->iommufd);
}

FIXTURE(sriov)
{
	struct functions f;
};

FIXTURE_SETUP(sriov)
{
	if (pci_find(NVME, 0, self->f.pf_bdf))
		SKIP(NO_FIXTURE; return, "no controller with virtual functions");
	ASSERT_EQ(0, edu_one_cpu());
	functions_open(_metadata, &self->f, "default");
}

FIXTURE_TEARDOWN(sriov)
{
	functions_close(_metadata, &self->f);
}

TEST_F(sriov, functions_are_bound_with_the_token)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind), .iommufd = self->f.iommufd, .flags = VFIO_DEVICE_BIND_FLAG_TOKEN,
	};
	int vf = self->f.vf[0];
	uint32_t id;

	EXPECT_EQ(-EACCES, bind_with(vf, self->f.iommufd, NULL, &id));
	EXPECT_EQ(-EACCES, bind_with(vf, self->f.iommufd, wrong, &id));
	EXPECT_EQ(-EFAULT, iommu_call(vf, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	/* the flag counts, not the pointer, and the structure has to reach up to it */
	bind.token_uuid_ptr = to_u64(token);
	bind.flags = 0;
	EXPECT_EQ(-EACCES, iommu_call(vf, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	bind.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
	bind.argsz = 16;
	EXPECT_EQ(-EINVAL, iommu_call(vf, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	EXPECT_EQ(0, bind_with(vf, self->f.iommufd, token, &id));
	EXPECT_LT(0, id);
	EXPECT_EQ(-EINVAL, bind_with(vf, self->f.iommufd, token, &id));
}

TEST_F(sriov, token_changes_for_the_next_bind)
{
	uint32_t id;

	ASSERT_EQ(0, bind_with(self->f.vf[0], self->f.iommufd, token, &id));
	ASSERT_EQ(0, set_token(self->f.pf, wrong));
	EXPECT_EQ(-EACCES, bind_with(self->f.vf[1], self->f.iommufd, token, &id));
	EXPECT_EQ(0, bind_with(self->f.vf[1], self->f.iommufd, wrong, &id));
	/* a function has none to set */
	EXPECT_EQ(-ENOTTY, set_token(self->f.vf[0], token));
	ASSERT_EQ(0, set_token(self->f.pf, token));
}

/* As long as a function is in use the physical one is only for who knows the token */
TEST_F(sriov, physical_function_is_closed_and_opened_again)
{
	uint32_t id, ioas;

	/* to close it resets it, which takes its functions away */
	functions_close(_metadata, &self->f);
	functions_open(_metadata, &self->f, "\n");
	ASSERT_EQ(0, bind_with(self->f.vf[0], self->f.iommufd, token, &id));
	ASSERT_EQ(0, ioas_alloc(self->f.iommufd, &ioas));
	close(self->f.pf);
	self->f.pf = node_open(self->f.pf_bdf);
	ASSERT_LE(0, self->f.pf);
	EXPECT_EQ(-EACCES, bind_with(self->f.pf, self->f.iommufd, NULL, &id));
	EXPECT_EQ(-EACCES, bind_with(self->f.pf, self->f.iommufd, wrong, &id));
	/* the other function is not in use, and its token is still the same */
	EXPECT_EQ(-EACCES, bind_with(self->f.vf[1], self->f.iommufd, wrong, &id));
	EXPECT_EQ(0, bind_with(self->f.vf[1], self->f.iommufd, token, &id));
	EXPECT_EQ(0, vfio_attach(self->f.vf[0], ioas, NULL));
	EXPECT_EQ(0, bind_with(self->f.pf, self->f.iommufd, token, &self->f.pf_id));

	/* in nobody's hands but his, a physical function takes any token for the next ones */
	for (int i = 0; i < VFS; i++)
		close(self->f.vf[i]);
	close(self->f.pf);
	self->f.pf = node_open(self->f.pf_bdf);
	ASSERT_LE(0, self->f.pf);
	EXPECT_EQ(0, bind_with(self->f.pf, self->f.iommufd, wrong, &self->f.pf_id));
	for (int i = 0; i < VFS; i++) {
		self->f.vf[i] = node_open(self->f.vf_bdf[i]);
		ASSERT_LE(0, self->f.vf[i]);
	}
	EXPECT_EQ(-EACCES, bind_with(self->f.vf[0], self->f.iommufd, token, &id));
	EXPECT_EQ(0, bind_with(self->f.vf[0], self->f.iommufd, wrong, &id));
}

TEST_F(sriov, function_is_attached_and_reset)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint8_t *mem = small_pages(PAGE);
	uint32_t ioas[2], id;

	ASSERT_NE(NULL, mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(self->f.iommufd, &ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->f.iommufd, ioas[i], mem, PAGE, IOVA));
	}
	for (int i = 0; i < VFS; i++) {
		ASSERT_EQ(0, bind_with(self->f.vf[i], self->f.iommufd, token, &id));
		ASSERT_EQ(0, vfio_attach(self->f.vf[i], ioas[0], NULL));
	}
	ASSERT_EQ(0, iommu_call(self->f.vf[0], VFIO_DEVICE_GET_INFO, &info));
	EXPECT_TRUE(info.flags & VFIO_DEVICE_FLAGS_RESET);
	EXPECT_EQ(0, iommu_call(self->f.vf[0], VFIO_DEVICE_RESET, NULL));
	/* it is where it was, and can go elsewhere without the others */
	EXPECT_EQ(0, vfio_attach(self->f.vf[0], ioas[1], &id));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->f.iommufd, id));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->f.iommufd, ioas[0]));
	EXPECT_EQ(0, vfio_detach(self->f.vf[1]));
	EXPECT_EQ(0, iommu_destroy(self->f.iommufd, ioas[0]));
	for (int i = 0; i < VFS; i++) {
		close(self->f.vf[i]);
		self->f.vf[i] = -1;
	}
	munmap(mem, PAGE);
	EXPECT_EQ(0, vm_pin_kb());
}

/* The bus would be reset as a whole, and VFIO of Linux 6.1 keeps virtual functions out of that */
TEST_F(sriov, functions_are_in_the_way_of_a_hot_reset)
{
	struct {
		struct vfio_pci_hot_reset_info info;
		struct vfio_pci_dependent_device device[1 + VFS];
	} answer;
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };
	uint32_t id[1 + VFS] = { self->f.pf_id };
	int fd[1 + VFS] = { self->f.pf, self->f.vf[0], self->f.vf[1] }, other = iommu_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bind_with(self->f.vf[0], self->f.iommufd, token, &id[1]));
	ASSERT_EQ(0, bind_with(self->f.vf[1], other, token, &id[2]));
	for (int i = 0; i <= VFS; i++) {
		answer.info.argsz = sizeof(answer);
		ASSERT_EQ(0, iommu_call(fd[i], VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &answer));
		EXPECT_EQ(VFIO_PCI_HOT_RESET_FLAG_DEV_ID, answer.info.flags);
		ASSERT_EQ(1 + VFS, answer.info.count);
		for (int j = 0; j <= VFS; j++)
			EXPECT_EQ_FOR(i == j ? id[i] : (uint32_t)VFIO_PCI_DEVID_NOT_OWNED, answer.device[j].devid,
				      "function %d about %d", i, j);
		EXPECT_EQ(-EINVAL, iommu_call(fd[i], VFIO_DEVICE_PCI_HOT_RESET, &reset));
	}
	close(other);
}

TEST_HARNESS_MAIN
