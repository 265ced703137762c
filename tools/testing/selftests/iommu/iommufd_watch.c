// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_watch - a mediated device sees what virtual CPUs write to the memory behind an IOVA
 *
 * Three kinds of address, all different here: the device knows a page by its IOVA, the virtual machine by one or more
 * guest-physical addresses, the process by a pointer. The virtual machine runs a few instructions in real mode.
 */
#include "iommu_test.h"
#include "test_mdev.h"

#if defined(__x86_64__)
#include <linux/kvm.h>

#define IOVA		0x40000000UL
#define MEM_SIZE	(16 * PAGE)
/* guest-physical: where the program is, and where the memory is seen */
#define CODE		0x1000UL
#define LOW		0x10000UL
#define HIGH		0x30000UL
/* slots */
enum { SLOT_CODE, SLOT_LOW, SLOT_HIGH };

/*
 * Writes ax to es:di and stops; the registers are set from outside. Not into the page of its own.
 *	mov %ax,%es:(%di); hlt
 */
static const uint8_t program[] = { 0x26, 0x89, 0x05, 0xf4 };

FIXTURE(watch)
{
	struct mdev mdev;
	uint8_t *mem, *code;
	int vm, cpu, vfio;
	struct kvm_run *run;
	size_t run_size;
};

static int set_slot(int vm, uint32_t slot, uint64_t gpa, void *mem, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = to_u64(mem),
	};

	return iommu_call(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* The virtual CPU writes a value to a guest-physical address below 1 MiB. */
static int guest_write(int cpu, struct kvm_run *run, uint64_t gpa, uint16_t value)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rax = value, .rdi = gpa & 0xf };
	struct kvm_sregs sregs;
	int rc;

	rc = iommu_call(cpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.es.base = gpa & ~0xfUL;
	sregs.es.selector = gpa >> 4;
	rc = rc ?: iommu_call(cpu, KVM_SET_SREGS, &sregs) ?: iommu_call(cpu, KVM_SET_REGS, &regs) ?:
	     iommu_call(cpu, KVM_RUN, NULL);
	return rc ?: run->exit_reason == KVM_EXIT_HLT ? 0 : -EPROTO;
}

FIXTURE_SETUP(watch)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_device_attr attr = { .group = KVM_DEV_VFIO_GROUP, .attr = KVM_DEV_VFIO_GROUP_ADD };
	struct mdev *m = &self->mdev;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		SKIP(NO_FIXTURE; return, "no KVM");
	self->mem = small_pages(MEM_SIZE);
	self->code = small_pages(PAGE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_NE(NULL, self->code);
	memcpy(self->code, program, sizeof(program));
	ASSERT_LE(0, self->vm = ioctl(kvm, KVM_CREATE_VM, 0));
	ASSERT_EQ(0, iommu_call(self->vm, KVM_CREATE_DEVICE, &create));
	self->vfio = create.fd;
	ASSERT_EQ(0, set_slot(self->vm, SLOT_CODE, CODE, self->code, PAGE));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_LOW, LOW, self->mem, 8 * PAGE));
	ASSERT_LE(0, self->cpu = ioctl(self->vm, KVM_CREATE_VCPU, 0));
	ASSERT_LE(0, self->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	self->run = mmap(NULL, self->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, self->cpu, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->run);
	close(kvm);

	/* the device is part of the virtual machine before it is bound */
	ASSERT_EQ(0, mdev_create(m, "pinning", 1));
	m->way = BY_NODE;
	ASSERT_LE(0, m->container = iommu_open());
	ASSERT_LE(0, m->fd = mdev_open_node(m));
	attr.addr = to_u64(&m->fd);
	ASSERT_EQ(0, iommu_call(self->vfio, KVM_SET_DEVICE_ATTR, &attr));
	ASSERT_EQ(0, vfio_bind(m->fd, m->container, &m->devid));
	ASSERT_EQ(0, ioas_alloc(m->container, &m->ioas));
	ASSERT_EQ(0, vfio_attach(m->fd, m->ioas, NULL));
	ASSERT_EQ(0, mdev_map(m, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
}

FIXTURE_TEARDOWN(watch)
{
	mdev_close(&self->mdev);
	munmap(self->run, self->run_size);
	close(self->cpu);
	close(self->vm);
	/* The device is open as long as KVM has its file */
	close(self->vfio);
	EXPECT_EQ(0, mdev_remove(&self->mdev));
	munmap(self->mem, MEM_SIZE);
	munmap(self->code, PAGE);
}

/* The guest writes, and how often that is seen: never or once */
#define WRITE(_gpa, _value, _page, _offset, _seen) ({ \
	uint32_t before = mdev_state(&self->mdev).writes; \
	uint8_t *at = self->mem + (_page) * PAGE + (_offset); \
	struct mdev_state state; \
	ASSERT_EQ(0, guest_write(self->cpu, self->run, (_gpa) + (_offset), _value)); \
	memory_changed(); \
	EXPECT_EQ(_value, at[0] | at[1] << 8); \
	state = mdev_state(&self->mdev); \
	EXPECT_EQ(before + (_seen), state.writes); \
	if (_seen) { \
		EXPECT_EQ(to_u64(at), state.write_uaddr); \
		EXPECT_EQ(_value, state.write_value); \
	} \
})

TEST_F(watch, sees_what_is_written_to_a_page)
{
	struct mdev *m = &self->mdev;

	WRITE(LOW, 0x1111, 0, 0, 0);
	ASSERT_EQ(0, mdev_watch(m, IOVA + 2 * PAGE));
	EXPECT_EQ(-EEXIST, mdev_watch(m, IOVA + 2 * PAGE));
	WRITE(LOW, 0x2222, 0, 0, 0);
	WRITE(LOW + PAGE, 0x2223, 1, 0xffe, 0);
	WRITE(LOW + 2 * PAGE, 0x3333, 2, 0, 1);
	WRITE(LOW + 2 * PAGE, 0x3334, 2, 0xffe, 1);
	WRITE(LOW + 2 * PAGE, 0x3335, 2, 0x123, 1);
	WRITE(LOW + 3 * PAGE, 0x4444, 3, 0, 0);
	/* what the process writes is not the guest's */
	self->mem[2 * PAGE] = 1;
	EXPECT_EQ(3, mdev_state(m).writes);
	EXPECT_EQ(-ENOENT, mdev_watch(m, IOVA + MEM_SIZE));
}

/* The memory that is seen in two places, or in none yet, is the same memory. */
TEST_F(watch, follows_the_memory_wherever_the_guest_sees_it)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, mdev_watch(m, IOVA + 2 * PAGE));
	ASSERT_EQ(0, mdev_watch(m, IOVA + 9 * PAGE));
	/* another place for all of it: a page in two slots, and one that was in none */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_HIGH, HIGH, self->mem, MEM_SIZE));
	WRITE(HIGH + 2 * PAGE, 0x1001, 2, 6, 1);
	WRITE(LOW + 2 * PAGE, 0x1002, 2, 8, 1);
	WRITE(HIGH + 9 * PAGE, 0x1003, 9, 0, 1);
	WRITE(HIGH + 3 * PAGE, 0x1004, 3, 0, 0);
	/* watched while it is in two */
	ASSERT_EQ(0, mdev_watch(m, IOVA + 5 * PAGE));
	WRITE(HIGH + 5 * PAGE, 0x1005, 5, 0, 1);
	WRITE(LOW + 5 * PAGE, 0x1006, 5, 2, 1);
	/* one goes, and the other one moves */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_LOW, LOW, self->mem, 0));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_HIGH, HIGH + 0x10000, self->mem, MEM_SIZE));
	WRITE(HIGH + 0x10000 + 2 * PAGE, 0x1007, 2, 0, 1);
	WRITE(HIGH + 0x10000 + 9 * PAGE, 0x1008, 9, 0, 1);
	WRITE(HIGH + 0x10000 + 4 * PAGE, 0x1009, 4, 0, 0);
	/* other memory at an address where watched memory was */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_LOW, LOW, self->mem + 10 * PAGE, 4 * PAGE));
	WRITE(LOW + 2 * PAGE, 0x100a, 12, 0, 0);
	/* it all goes while pages are watched */
	ASSERT_EQ(0, set_slot(self->vm, SLOT_LOW, LOW, self->mem, 0));
	ASSERT_EQ(0, set_slot(self->vm, SLOT_HIGH, HIGH + 0x10000, self->mem, 0));
	ASSERT_EQ(0, mdev_unmap(m, IOVA, MEM_SIZE));
}

TEST_F(watch, ends_when_the_address_goes)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, mdev_watch(m, IOVA + PAGE));
	ASSERT_EQ(0, mdev_watch(m, IOVA + 2 * PAGE));
	WRITE(LOW + PAGE, 0x5001, 1, 0, 1);
	ASSERT_EQ(0, mdev_unmap(m, IOVA, MEM_SIZE));
	EXPECT_EQ(1, mdev_state(m).forgets);
	WRITE(LOW + PAGE, 0x5002, 1, 0, 0);
	WRITE(LOW + 2 * PAGE, 0x5003, 2, 0, 0);
	EXPECT_EQ(-ENOENT, mdev_watch(m, IOVA + PAGE));
	/* and begins again at another one */
	ASSERT_EQ(0, mdev_map(m, self->mem, 4 * PAGE, IOVA + MIB, TYPE1_RW));
	ASSERT_EQ(0, mdev_watch(m, IOVA + MIB + PAGE));
	WRITE(LOW + PAGE, 0x5004, 1, 0, 1);
	ASSERT_EQ(0, vfio_detach(m->fd));
	WRITE(LOW + PAGE, 0x5005, 1, 0, 0);
}

/* Memory of another process, a device outside the virtual machine */
TEST_F(watch, is_for_memory_of_the_virtual_machine)
{
	struct mdev *m = &self->mdev;
	struct mdev other;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!mdev_map(m, self->mem, PAGE, IOVA + MIB, TYPE1_RW));
		CHILD_NEEDS(mdev_watch(m, IOVA + MIB) == -EXDEV);
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	ASSERT_EQ(0, mdev_create(&other, "pinning", 2));
	ASSERT_EQ(0, mdev_open(&other, BY_NODE));
	ASSERT_EQ(0, mdev_map(&other, self->mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(-ENODEV, mdev_watch(&other, IOVA));
	mdev_close(&other);
	EXPECT_EQ(0, mdev_remove(&other));
	/* the process's files of the virtual machine go first */
	ASSERT_EQ(0, mdev_watch(m, IOVA));
	close(self->cpu);
	close(self->vfio);
	close(self->vm);
	self->cpu = -1;
	self->vfio = -1;
	self->vm = -1;
	EXPECT_EQ(0, mdev_unmap(m, IOVA, MEM_SIZE));
}
#else
TEST(watch)
{
	SKIP(return, "no KVM");
}
#endif

TEST_HARNESS_MAIN
