// SPDX-License-Identifier: GPL-2.0-only
/*
 * vtd_unit - registers and invalidation queue of a VT-d unit in software
 *
 * The registers are plain memory that the walking thread looks at. It takes over the root table, and executes the
 * descriptors of the invalidation queue on the caches that vtd_walk.c fills. A descriptor invalidates what section
 * 6.5.2 of the VT-d specification promises for it, and nothing more.
 */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/rculist.h>

#include "vtd_unit.h"

#define CAP_SAGAW_48	(4ULL << 8)
#define CAP_MGAW_48	(47ULL << 16)
#define CAP_FRO_220	(0x22ULL << 24)
#define CAP_SLLPS	(3ULL << 34)
#define CAP_PSI		BIT_ULL(39)
#define CAP_MAMV	(18ULL << 48)
#define CAP_DRAIN	(3ULL << 54)
#define CAP_ND_256	2ULL

#define ECAP_COHERENT	BIT_ULL(0)
#define ECAP_QI		BIT_ULL(1)
#define ECAP_DEVICE_TLB	BIT_ULL(2)
#define ECAP_PT		BIT_ULL(6)
#define ECAP_SC		BIT_ULL(7)
#define ECAP_IRO_300	(0x30ULL << 8)
#define ECAP_PSS_16	(15ULL << 35)
#define ECAP_PASID	BIT_ULL(40)
#define ECAP_SMTS	BIT_ULL(43)
#define ECAP_SLTS	BIT_ULL(46)
#define ECAP_FLTS	BIT_ULL(47)
#define ECAP_SMPWC	BIT_ULL(48)

static u32 *reg32(struct vtd_unit *unit, unsigned int offset)
{
	return unit->regs + offset;
}

static void misuse(struct vtd_unit *unit, const char *what)
{
	if (!unit->misuse)
		unit->misuse = what;
}

static void flush_contexts(struct vtd_unit *unit, const u64 *qw)
{
	struct walk_key key = { WALK_ANY, WALK_ANY, WALK_ANY, 0, 64 };

	switch (qw[0] >> 4 & 3) {
	case 3:
		key.source = qw[0] >> 32 & 0xffff;
		if (qw[0] >> 48 & 3)
			misuse(unit, "context flush with a function mask");
		fallthrough;
	case 2:
		/* A scalable-mode context entry belongs to no domain */
		key.domain = sm_supported(&unit->iommu) ? WALK_ANY : qw[0] >> 16 & 0xffff;
		break;
	case 0:
		misuse(unit, "context flush of a reserved granularity");
	}
	walk_cache_flush(&unit->context, &key);
}

static void set_range(struct walk_key *key, u64 qw)
{
	key->order = VTD_PAGE_SHIFT + (qw & 0x3f);
	key->iova = qw & VTD_PAGE_MASK & ~(BIT_ULL(key->order) - 1);
}

static void flush_tlb(struct vtd_unit *unit, const u64 *qw)
{
	struct walk_key key = { WALK_ANY, WALK_ANY, qw[0] >> 16 & 0xffff, 0, 64 };
	bool leaves = false;

	switch (qw[0] >> 4 & 3) {
	case 3:
		set_range(&key, qw[1]);
		if (key.order - VTD_PAGE_SHIFT > cap_max_amask_val(unit->iommu.cap))
			misuse(unit, "IOTLB flush of more pages than the unit supports");
		leaves = qw[1] & BIT(6);
		break;
	case 1:
		key.domain = WALK_ANY;
		fallthrough;
	case 2:
		walk_cache_flush(&unit->tlb[1], &key);
		walk_cache_flush(&unit->paging[1], &key);
		break;
	case 0:
		misuse(unit, "IOTLB flush of a reserved granularity");
	}
	walk_cache_flush(&unit->tlb[0], &key);
	if (!leaves)
		walk_cache_flush(&unit->paging[0], &key);
}

static void flush_pasid_tlb(struct vtd_unit *unit, const u64 *qw)
{
	struct walk_key key = { WALK_ANY, qw[0] >> 32 & 0xfffff, qw[0] >> 16 & 0xffff, 0, 64 };
	bool leaves = false;

	switch (qw[0] >> 4 & 3) {
	case QI_GRAN_PSI_PASID:
		set_range(&key, qw[1]);
		leaves = qw[1] & BIT(6);
		break;
	case QI_GRAN_NONG_PASID:
		break;
	default:
		misuse(unit, "PASID-based IOTLB flush of a reserved granularity");
	}
	walk_cache_flush(&unit->tlb[1], &key);
	if (!leaves)
		walk_cache_flush(&unit->paging[1], &key);
}

static void flush_pasid_entries(struct vtd_unit *unit, const u64 *qw)
{
	struct walk_key key = { WALK_ANY, WALK_ANY, WALK_ANY, 0, 64 };

	switch (qw[0] >> 4 & 3) {
	case QI_PC_PASID_SEL:
		key.pasid = qw[0] >> 32 & 0xfffff;
		fallthrough;
	case QI_PC_ALL_PASIDS:
		key.domain = qw[0] >> 16 & 0xffff;
		break;
	case QI_PC_GLOBAL:
		break;
	default:
		misuse(unit, "PASID cache flush of a reserved granularity");
	}
	walk_cache_flush(&unit->pasid, &key);
}

/* With S the number of ones below the lowest zero of the address says how much; all ones: everything */
static void set_device_range(struct walk_key *key, u64 address, bool s)
{
	u64 pages = address >> VTD_PAGE_SHIFT;

	key->order = VTD_PAGE_SHIFT;
	if (s)
		key->order += 1 + (pages == U64_MAX >> VTD_PAGE_SHIFT ? 64 : __ffs64(~pages));
	if (key->order >= 64)
		*key = (struct walk_key){ key->source, key->pasid, key->domain, 0, 64 };
	else
		key->iova = address & ~(BIT_ULL(key->order) - 1);
}

static void flush_device_tlb(struct vtd_unit *unit, const u64 *qw)
{
	struct walk_key key = { qw[0] >> 32 & 0xffff, 0, WALK_ANY };

	set_device_range(&key, qw[1] & VTD_PAGE_MASK, qw[1] & QI_DEV_IOTLB_SIZE);
	walk_cache_flush(&unit->device_tlb, &key);
}

static void flush_pasid_device_tlb(struct vtd_unit *unit, const u64 *qw)
{
	struct walk_key key = { qw[0] >> 16 & 0xffff, (qw[0] >> 32 & 0xfffff) ?: VTD_PASID_ZERO, WALK_ANY };

	set_device_range(&key, qw[1] & VTD_PAGE_MASK, qw[1] & QI_DEV_EIOTLB_SIZE);
	walk_cache_flush(&unit->device_tlb, &key);
}

static void execute(struct vtd_unit *unit, const u64 *qw)
{
	switch (qw[0] & 0xf) {
	case QI_CC_TYPE:
		return flush_contexts(unit, qw);
	case QI_IOTLB_TYPE:
		return flush_tlb(unit, qw);
	case QI_DIOTLB_TYPE:
		return flush_device_tlb(unit, qw);
	case QI_EIOTLB_TYPE:
		return flush_pasid_tlb(unit, qw);
	case QI_PC_TYPE:
		return flush_pasid_entries(unit, qw);
	case QI_DEIOTLB_TYPE:
		return flush_pasid_device_tlb(unit, qw);
	case QI_IWD_TYPE:
		if (qw[0] & QI_IWD_STATUS_WRITE)
			/* After all that was flushed; pairs with qi_submit_sync() */
			smp_store_release((u32 *)phys_to_virt(qw[1] & ~3ULL), upper_32_bits(qw[0]));
		return;
	}
	misuse(unit, "unknown descriptor");
}

static void obey(struct vtd_unit *unit, u32 gcmd)
{
	u32 status = READ_ONCE(*reg32(unit, DMAR_GSTS_REG)) & DMA_GSTS_RTPS;

	if (gcmd & DMA_GCMD_SRTP) {
		unit->root = READ_ONCE(*(u64 *)(unit->regs + DMAR_RTADDR_REG));
		status |= DMA_GSTS_RTPS;
	}
	unit->gcmd = gcmd;
	/* The driver goes on when it sees this */
	smp_store_release(reg32(unit, DMAR_GSTS_REG), status | (gcmd & (DMA_GCMD_TE | DMA_GCMD_QIE)));
}

static void vtd_service(struct walk_unit *walk_unit)
{
	struct vtd_unit *unit = container_of(walk_unit, struct vtd_unit, unit);
	u32 gcmd = smp_load_acquire(reg32(unit, DMAR_GCMD_REG)); /* the registers were written before it */
	u32 head, tail;

	if (gcmd != unit->gcmd)
		obey(unit, gcmd);
	if (!(gcmd & DMA_GCMD_QIE))
		return;

	head = READ_ONCE(*reg32(unit, DMAR_IQH_REG));
	tail = smp_load_acquire(reg32(unit, DMAR_IQT_REG)); /* the descriptors were written before it */
	while (head != tail) {
		u64 queue = READ_ONCE(*(u64 *)(unit->regs + DMAR_IQA_REG)) & VTD_PAGE_MASK;

		execute(unit, phys_to_virt(queue) + head);
		head = (head + (1 << qi_shift(&unit->iommu))) % (QI_LENGTH << qi_shift(&unit->iommu));
		WRITE_ONCE(*reg32(unit, DMAR_IQH_REG), head);
	}
}

static u32 vtd_tag(struct walk_unit *walk_unit, struct iommu_domain *domain)
{
	struct vtd_unit *unit = container_of(walk_unit, struct vtd_unit, unit);

	return domain_id_iommu(to_dmar_domain(domain), &unit->iommu);
}

static const struct walk_unit_ops vtd_unit_ops = {
	.service	= vtd_service,
	.walk		= vtd_walk,
	.tag		= vtd_tag,
};

/**
 * vtd_unit_init() - Make a unit that is not running yet
 * @unit: the unit, zeroed
 * @pci: segment that will be behind it
 * @scalable: in scalable mode, with PASIDs
 *
 * Return: 0, or -ENOMEM.
 */
int vtd_unit_init(struct vtd_unit *unit, struct soft_pci *pci, bool scalable)
{
	struct intel_iommu *iommu = &unit->iommu;

	unit->unit.ops = &vtd_unit_ops;
	unit->pci = pci;
	unit->regs = (void *)get_zeroed_page(GFP_KERNEL);
	if (!unit->regs)
		return -ENOMEM;

	/* Translation is on from the first moment; a root table follows before there is a device */
	iommu->reg = (void __iomem __force *)unit->regs;
	iommu->cap = CAP_SAGAW_48 | CAP_MGAW_48 | CAP_FRO_220 | CAP_SLLPS | CAP_PSI | CAP_MAMV | CAP_DRAIN | CAP_ND_256;
	iommu->ecap = ECAP_COHERENT | ECAP_QI | ECAP_DEVICE_TLB | ECAP_PT | ECAP_SC | ECAP_IRO_300;
	if (scalable)
		iommu->ecap |= ECAP_PSS_16 | ECAP_PASID | ECAP_SMTS | ECAP_SLTS | ECAP_FLTS | ECAP_SMPWC;
	iommu->agaw = 2;
	iommu->msagaw = 2;
	iommu->seq_id = DMAR_UNITS_SUPPORTED - 1;
	iommu->segment = VTD_SEGMENT;
	iommu->node = NUMA_NO_NODE;
	iommu->iommu.ops = &intel_iommu_ops;
	if (scalable)
		iommu->iommu.max_pasids = 2UL << ecap_pss(iommu->ecap);
	strscpy(iommu->name, "walker", sizeof(iommu->name));
	raw_spin_lock_init(&iommu->register_lock);
	spin_lock_init(&iommu->lock);
	xa_init(&iommu->dma_faults);
	iommu->drhd = &unit->drhd;

	unit->acpi.segment = VTD_SEGMENT;
	unit->drhd.hdr = &unit->acpi.header;
	unit->drhd.iommu = iommu;
	unit->drhd.segment = VTD_SEGMENT;
	unit->drhd.include_all = 1;
	return 0;
}

/**
 * vtd_unit_start() - Bring a unit up, as the driver does with one that was plugged in
 * @unit: unit, of which the walking thread has begun
 *
 * Return: 0, or -errno; vtd_unit_stop() is due either way.
 */
int vtd_unit_start(struct vtd_unit *unit)
{
	struct intel_iommu *iommu = &unit->iommu;
	int rc;

	iommu->domain_ids = bitmap_zalloc(cap_ndoms(iommu->cap), GFP_KERNEL);
	iommu->copied_tables = bitmap_zalloc(BIT(16), GFP_KERNEL);
	iommu->root_entry = alloc_pgtable_page(NUMA_NO_NODE);
	if (!iommu->domain_ids || !iommu->copied_tables || !iommu->root_entry)
		return -ENOMEM;
	/* Those that are never given to a domain */
	bitmap_set(iommu->domain_ids, 0, NUM_RESERVED_DID);

	rc = dmar_enable_qi(iommu);
	if (rc)
		return rc;
	iommu->flush.flush_context = qi_flush_context;
	iommu->flush.flush_iotlb = qi_flush_iotlb;
	writeq(virt_to_phys(iommu->root_entry) | (sm_supported(iommu) ? DMA_RTADDR_SMT : 0),
	       iommu->reg + DMAR_RTADDR_REG);
	writel(iommu->gcmd | DMA_GCMD_SRTP, iommu->reg + DMAR_GCMD_REG);
	while (!(readl(iommu->reg + DMAR_GSTS_REG) & DMA_GSTS_RTPS))
		cpu_relax();
	iommu->gcmd |= DMA_GCMD_TE;
	writel(iommu->gcmd, iommu->reg + DMAR_GCMD_REG);

	rc = iommu_device_sysfs_add(&iommu->iommu, NULL, NULL, "%s", iommu->name);
	if (rc)
		return rc;

	down_write(&dmar_global_lock);
	list_add_rcu(&unit->drhd.list, &dmar_drhd_units);
	up_write(&dmar_global_lock);
	return 0;
}

/**
 * vtd_unit_domain_ids() - How many domain ids are taken, of those that a domain can have
 * @unit: a unit
 */
unsigned int vtd_unit_domain_ids(struct vtd_unit *unit)
{
	return bitmap_weight(unit->iommu.domain_ids, cap_ndoms(unit->iommu.cap)) - NUM_RESERVED_DID;
}

/**
 * vtd_unit_stop() - Take a unit away from the driver
 * @unit: unit behind which no device is any more, and of which the walking thread still runs
 */
void vtd_unit_stop(struct vtd_unit *unit)
{
	struct intel_iommu *iommu = &unit->iommu;
	unsigned int i;

	if (unit->drhd.list.next) {
		down_write(&dmar_global_lock);
		list_del_rcu(&unit->drhd.list);
		up_write(&dmar_global_lock);
		synchronize_rcu();
	}
	if (iommu->iommu.dev)
		iommu_device_sysfs_remove(&iommu->iommu);
	if (iommu->qi) {
		dmar_disable_qi(iommu);
		free_pages((unsigned long)iommu->qi->desc, !!ecap_smts(iommu->ecap));
		kfree(iommu->qi->desc_status);
		kfree(iommu->qi);
	}
	for (i = 0; iommu->root_entry && i < 256; i++) {
		struct root_entry *root = &iommu->root_entry[i];

		if (root->lo & 1)
			free_pgtable_page(phys_to_virt(root->lo & VTD_PAGE_MASK));
		if (root->hi & 1)
			free_pgtable_page(phys_to_virt(root->hi & VTD_PAGE_MASK));
	}
	if (iommu->root_entry)
		free_pgtable_page(iommu->root_entry);
	bitmap_free(iommu->copied_tables);
	bitmap_free(iommu->domain_ids);
}

/**
 * vtd_unit_free() - Free the registers
 * @unit: unit of which the walking thread has ended
 */
void vtd_unit_free(struct vtd_unit *unit)
{
	free_page((unsigned long)unit->regs);
}
