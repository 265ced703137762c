// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach - which domain translates the DMA of a device, for requests without PASID
 *
 * Check first, then change: a domain that does not fit, or memory that is not there, leaves the device where it is.
 *
 * From one second-level page table to another the device is moved by an exchange. What the hardware reads to find the
 * page table are 128 bits that one instruction can replace: the context entry in legacy mode (VT-d specification,
 * section 9.3), the first 128 bits of the entry of RID2PASID in the PASID table in scalable mode (section 9.6). A DMA
 * sees the old entry or the new one. The blocking domain of Linux 6.1 is an empty second-level table, so moving in
 * and out of it is an exchange too.
 *
 * In scalable mode pasid-attach.c writes the entry, and makes the other moves too, in the order that it has a table
 * of. In legacy mode the other moves, from or to pass-through or on a processor without CMPXCHG16B, block the device
 * first and then set up the new translation, as Linux 6.1 does. So does a move of a device that has lost its entry.
 * They are never part of a replace.
 *
 * Locking: the core's group->mutex serialises what happens to one device and its DMA aliases. Inside, the order is
 *
 *	iommu->lock			context and PASID table entries, domain ids
 *	  domain->lock, lower address	lists of devices and PASIDs whose translations an unmap flushes
 *	    domain->lock, higher address
 */
#include <linux/bitfield.h>
#include <linux/pci.h>

#include "../iommu-priv.h"
#include "attach.h"
#include "pasid.h"

#define CONTEXT_TT_SHIFT	2
#define CONTEXT_DID_SHIFT	8
#define CONTEXT_SM_CAPS		GENMASK_ULL(4, 2)	/* device-TLB, PASIDs, page requests */
#define CONTEXT_SM_PDTS		GENMASK_ULL(11, 9)	/* size of the PASID directory */

/**
 * intel_domain_may_change() - May an attach still change the properties of a domain?
 * @domain: a domain
 *
 * A domain of Linux 6.1 takes its address width from the first device. Once hardware reads its tables, or once it was
 * allocated for a device, nothing of it changes. The identity domain belongs to all IOMMUs and never changes.
 *
 * Return: true when it may.
 */
bool intel_domain_may_change(struct dmar_domain *domain)
{
	return !domain->settled && !intel_domain_is_identity(domain) && xa_empty(&domain->iommu_array);
}

/**
 * intel_domain_check() - Can an IOMMU use a domain as it is?
 * @domain: a domain
 * @iommu: an IOMMU
 *
 * Return: 0, or -EINVAL when the IOMMU lacks the kind of page table, its depth or its width, cannot force snooping
 * although the mappings rely on it, or would not see page table entries that were written to the CPU's cache only.
 */
int intel_domain_check(struct dmar_domain *domain, struct intel_iommu *iommu)
{
	int width = min_t(int, agaw_to_width(iommu->agaw), cap_mgaw(iommu->cap));

	/* Pass-through has no table; a table of the identity domain is entered at the level that the IOMMU has. */
	if (intel_domain_is_identity(domain))
		return 0;

	if (domain->force_snooping && !ecap_sc_support(iommu->ecap))
		return -EINVAL;
	if (domain->iommu_coherency && !iommu_paging_structure_coherency(iommu))
		return -EINVAL;
	if (domain->gaw > width || domain->agaw > iommu->agaw)
		return -EINVAL;

	if (intel_domain_is_first_level(domain)) {
		if (!sm_supported(iommu) || !ecap_flts(iommu->ecap))
			return -EINVAL;
		return domain->agaw == 2 || (domain->agaw == 3 && cap_fl5lp_support(iommu->cap)) ? 0 : -EINVAL;
	}

	if (sm_supported(iommu) && !ecap_slts(iommu->ecap))
		return -EINVAL;
	return cap_sagaw(iommu->cap) & BIT(domain->agaw) ? 0 : -EINVAL;
}

/**
 * intel_domain_get_iommu() - Take one more reference of a domain to an IOMMU
 * @domain: a domain
 * @iommu: an IOMMU
 *
 * Allocates nothing, so that going back to a domain which is still referenced cannot fail.
 *
 * Context: Takes iommu->lock.
 * Return: true, or false when there is no reference yet.
 */
bool intel_domain_get_iommu(struct dmar_domain *domain, struct intel_iommu *iommu)
{
	struct iommu_domain_info *ref;

	spin_lock(&iommu->lock);
	ref = xa_load(&domain->iommu_array, iommu->seq_id);
	if (ref)
		ref->refcnt++;
	spin_unlock(&iommu->lock);

	return ref;
}

#ifdef CONFIG_X86_64
/**
 * intel_can_exchange() - Can this processor write 128 bits at once?
 *
 * Return: true when it can.
 */
bool intel_can_exchange(void)
{
	return boot_cpu_has(X86_FEATURE_CX16);
}

/**
 * intel_exchange() - Write 128 bits at once
 * @entry: aligned to 16 bytes
 * @lo: first half
 * @hi: second half
 *
 * Context: The caller keeps other writers away; the hardware only reads. intel_can_exchange() is true.
 */
void intel_exchange(u64 *entry, u64 lo, u64 hi)
{
	WARN_ON(!cmpxchg_double(&entry[0], &entry[1], entry[0], entry[1], lo, hi));
}
#else
bool intel_can_exchange(void)
{
	return false;
}

void intel_exchange(u64 *entry, u64 lo, u64 hi)
{
}
#endif

/**
 * intel_lock_domains() - Lock the lists of two domains
 * @a: a domain
 * @b: another one
 *
 * Return: what intel_unlock_domains() takes.
 */
unsigned long intel_lock_domains(struct dmar_domain *a, struct dmar_domain *b)
	__acquires(&a->lock) __acquires(&b->lock)
{
	unsigned long flags;

	spin_lock_irqsave(&min(a, b)->lock, flags);
	spin_lock_nested(&max(a, b)->lock, SINGLE_DEPTH_NESTING);
	return flags;
}

/**
 * intel_unlock_domains() - The counterpart of intel_lock_domains()
 * @a: a domain
 * @b: another one
 * @flags: what intel_lock_domains() returned
 */
void intel_unlock_domains(struct dmar_domain *a, struct dmar_domain *b, unsigned long flags)
	__releases(&a->lock) __releases(&b->lock)
{
	spin_unlock(&max(a, b)->lock);
	spin_unlock_irqrestore(&min(a, b)->lock, flags);
}

static bool is_second_level(struct dmar_domain *domain)
{
	return !intel_domain_is_identity(domain) && !intel_domain_is_first_level(domain);
}

static int visit_rids(struct device_domain_info *info, int (*fn)(struct pci_dev *pdev, u16 rid, void *data),
		      void *data)
{
	if (!dev_is_pci(info->dev))
		return fn(NULL, PCI_DEVID(info->bus, info->devfn), data);
	return pci_for_each_dma_alias(to_pci_dev(info->dev), fn, data);
}

static unsigned int context_tt(struct context_entry *context)
{
	return (context->lo >> CONTEXT_TT_SHIFT) & 3;
}

static int check_context(struct pci_dev *pdev, u16 rid, void *data)
{
	struct device_domain_info *info = data;
	struct context_entry *context;

	/* Still the translation that a crashed kernel left behind: only a driver that has reset the device ends it */
	if (context_copied(info->iommu, PCI_BUS_NUM(rid), rid & 0xff))
		return -EBUSY;

	context = iommu_context_addr(info->iommu, PCI_BUS_NUM(rid), rid & 0xff, 1);
	if (!context)
		return -ENOMEM;

	if (sm_supported(info->iommu))
		return context_present(context) ? 0 : -EOPNOTSUPP;
	if (context_present(context) && context_tt(context) == CONTEXT_TT_PASS_THROUGH)
		return -EOPNOTSUPP;
	return 0;
}

static int check_pasid_entry(struct device_domain_info *info)
{
	struct pasid_entry *entry;

	if (!sm_supported(info->iommu))
		return 0;
	if (!info->pasid_table)
		return -EOPNOTSUPP;

	entry = intel_pasid_get_entry(info->dev, PASID_RID2PASID);
	return entry && pasid_pte_is_present(entry) ? 0 : -EOPNOTSUPP;
}

/* Is there an entry for @new that exchange_commit() can write, whatever stands there now? */
static bool can_move(struct dmar_domain *new, struct device_domain_info *info)
{
	if (dev_is_real_dma_subdevice(info->dev))
		return false;
	if (sm_supported(info->iommu))
		return intel_domain_is_pass_through(new) || new->agaw <= info->iommu->agaw;
	return intel_can_exchange() && is_second_level(info->domain) && is_second_level(new);
}

/*
 * Take all that exchange_commit() needs: a reference of @new to the IOMMU, and the tables that hold the entries.
 *
 * Return: 0; -EOPNOTSUPP or -EBUSY when the device has to be taken out and set up again; or another -errno.
 */
static int exchange_prepare(struct dmar_domain *new, struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;
	int rc;

	if (!can_move(new, info))
		return -EOPNOTSUPP;

	rc = domain_attach_iommu(new, iommu);
	if (rc)
		return rc;

	spin_lock(&iommu->lock);
	rc = check_pasid_entry(info);
	if (!rc)
		rc = visit_rids(info, check_context, info);
	spin_unlock(&iommu->lock);

	if (rc)
		domain_detach_iommu(new, iommu);
	return rc;
}

struct exchange_target {
	struct device_domain_info *info;
	struct dmar_domain *domain;
	u16 did;
};

static int exchange_context(struct pci_dev *pdev, u16 rid, void *data)
{
	struct exchange_target *to = data;
	struct device_domain_info *info = to->info;
	struct intel_iommu *iommu = info->iommu;
	unsigned int tt = CONTEXT_TT_MULTI_LEVEL;
	struct context_entry *context;
	u16 did_old = 0;

	context = iommu_context_addr(iommu, PCI_BUS_NUM(rid), rid & 0xff, 1);
	if (WARN_ON(!context))
		return 0;

	/*
	 * Whether device-TLB requests are allowed is a matter of the device, so it stays. The entry is not present
	 * when another device that shares it as its alias was removed; hardware may have cached that under domain id
	 * 0.
	 */
	if (context_present(context)) {
		tt = context_tt(context);
		did_old = context->hi >> CONTEXT_DID_SHIFT;
	} else if (rid == PCI_DEVID(info->bus, info->devfn) && info->ats_supported) {
		tt = CONTEXT_TT_DEV_IOTLB;
	}

	/* An alias that moved with the first device of the group */
	if (did_old == to->did)
		return 0;

	intel_exchange(&context->lo, virt_to_phys(to->domain->pgd) | tt << CONTEXT_TT_SHIFT | 1,
		       (u64)to->did << CONTEXT_DID_SHIFT | to->domain->agaw);
	__iommu_flush_cache(iommu, context, sizeof(*context));
	iommu->flush.flush_context(iommu, did_old, rid, DMA_CCMD_MASK_NOBIT, DMA_CCMD_DEVICE_INVL);
	return 0;
}

static void exchange_contexts(struct dmar_domain *new, struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;
	u16 did_old = domain_id_iommu(info->domain, iommu);
	struct exchange_target to = {
		.info = info, .domain = new, .did = domain_id_iommu(new, iommu),
	};

	/* Read without the lock by an unmap, after it cleared the table */
	if (info->ats_enabled)
		new->has_iotlb_device = true;

	visit_rids(info, exchange_context, &to);
	iommu->flush.flush_iotlb(iommu, did_old, 0, 0, DMA_TLB_DSI_FLUSH);
	/* It may be a hypervisor's, which looks at the entries of the domain that is named */
	if (cap_caching_mode(iommu->cap))
		iommu->flush.flush_iotlb(iommu, to.did, 0, 0, DMA_TLB_DSI_FLUSH);
	if (info->ats_enabled && pci_device_is_present(to_pci_dev(info->dev)))
		__iommu_flush_dev_iotlb(info, 0, 64 - VTD_PAGE_SHIFT);
}

/*
 * Cannot fail. The flushes are those of section 6.5.3.3 for a present entry that changes: the cache of entries, then
 * the IOTLB, then the device-TLB, all of what was filled under the old domain id.
 *
 * An unmap clears the table first and then flushes by domain id and by the domain's list of devices. It may run at
 * any time in either domain, and must not miss this device as long as that domain's table is cached for it. So both
 * lists are locked from before the exchange until after the flushes, the new reference was taken before and the old
 * one is dropped after.
 */
static void exchange_commit(struct dmar_domain *new, struct device_domain_info *info)
{
	struct dmar_domain *old = info->domain;
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;

	spin_lock(&iommu->lock);
	flags = intel_lock_domains(old, new);

	if (sm_supported(iommu))
		__intel_pasid_set(info, PASID_RID2PASID, new);
	else
		exchange_contexts(new, info);
	list_move(&info->link, &new->devices);
	info->domain = new;

	intel_unlock_domains(old, new, flags);
	spin_unlock(&iommu->lock);

	domain_update_iotlb(old);
	domain_detach_iommu(old, iommu);
}

static int block_and_attach(struct dmar_domain *new, struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *old = info->domain;
	int rc;

	/* With this reference and its tables in place, nothing that going back needs can be lacking */
	if (WARN_ON(!intel_domain_get_iommu(old, info->iommu)))
		return -EINVAL;

	device_block_translation(dev);
	rc = domain_add_dev_info(new, dev);
	if (rc)
		WARN_ON(domain_add_dev_info(old, dev));

	domain_detach_iommu(old, info->iommu);
	return rc;
}

static bool is_at_home(struct device_domain_info *info)
{
	struct iommu_group *group = info->dev->iommu_group;

	return group && info->domain && group->default_domain == &info->domain->domain;
}

/* Its group's default domain keeps a reference to the IOMMU: going back needs neither memory nor a domain id */
static void keep_way_back(struct device_domain_info *info)
{
	if (!info->way_back && is_at_home(info) && intel_domain_get_iommu(info->domain, info->iommu))
		info->way_back = info->domain;
}

/**
 * intel_forget_way_back() - A device is back in its group's default domain, or is removed
 * @info: what the driver knows about the device
 */
void intel_forget_way_back(struct device_domain_info *info)
{
	if (info->way_back)
		domain_detach_iommu(info->way_back, info->iommu);
	info->way_back = NULL;
}

static int move_dev(struct dmar_domain *domain, struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	int rc;

	rc = prepare_domain_attach_device(&domain->domain, dev);
	if (rc)
		return rc;
	if (!info->domain)
		return domain_add_dev_info(domain, dev);

	rc = exchange_prepare(domain, info);
	if (rc == -EOPNOTSUPP || rc == -EBUSY)
		return block_and_attach(domain, dev);
	if (!rc)
		exchange_commit(domain, info);
	return rc;
}

/**
 * intel_attach_dev() - Attach a device to a domain, whatever it is attached to now
 * @domain: the domain
 * @dev: the device
 *
 * Attaching to the group's blocking domain never fails: its caller frees the old domain next. Lacking memory or a
 * domain id, the device is blocked with no domain at all. Nor does going back to the group's default domain fail, as
 * a reference of it was kept.
 *
 * Context: group->mutex held.
 * Return: 0, also when it is attached there already; or -errno with the device attached as before: -EINVAL when the
 * IOMMU of @dev cannot use @domain, -ENOMEM, or -ENOSPC when the IOMMU has no domain id left.
 */
int intel_attach_dev(struct dmar_domain *domain, struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	int rc;

	if (info->domain == domain)
		return 0;

	keep_way_back(info);
	rc = move_dev(domain, dev);
	if (rc && dev->iommu_group && dev->iommu_group->blocking_domain == &domain->domain) {
		device_block_translation(dev);
		rc = 0;
	}
	if (is_at_home(info))
		intel_forget_way_back(info);
	return rc;
}

/* What is known of a requester id whose context entry changed, in the order of section 6.5.3.3 */
static void flush_rid(struct device_domain_info *info, u16 rid, u16 did)
{
	struct intel_iommu *iommu = info->iommu;

	iommu->flush.flush_context(iommu, did, rid, DMA_CCMD_MASK_NOBIT, DMA_CCMD_DEVICE_INVL);
	if (sm_supported(iommu))
		qi_flush_pasid_cache(iommu, did, QI_PC_ALL_PASIDS, 0);
	iommu->flush.flush_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH);
}

static int is_rid(struct pci_dev *pdev, u16 rid, void *data)
{
	return rid == *(u16 *)data;
}

static struct device_domain_info *find_sibling(struct device_domain_info *info, u16 rid)
{
	struct device_domain_info *other;

	list_for_each_entry(other, &info->domain->devices, link) {
		if (other != info && other->iommu == info->iommu && dev_is_pci(other->dev) &&
		    !dev_is_real_dma_subdevice(other->dev) && !other->leaving && visit_rids(other, is_rid, &rid))
			return other;
	}
	return NULL;
}

/**
 * intel_hand_over_alias() - A device is removed: does another one go on using this requester id?
 * @info: what the driver knows about the device, @info->leaving set
 * @rid: its requester id, or an alias of it
 *
 * Devices behind a bridge to conventional PCI share the id of the bridge. Whoever was there first has set up its
 * context entry. In scalable mode that leads to the PASID table of that device, which is freed next, and is made to
 * lead to the table of one that stays; both translate alike, as the devices are in one group.
 *
 * Context: Takes iommu->lock and the lock of the domain.
 * Return: true when the entry of @rid stays.
 */
bool intel_hand_over_alias(struct device_domain_info *info, u16 rid)
{
	struct intel_iommu *iommu = info->iommu;
	struct dmar_domain *domain = info->domain;
	struct device_domain_info *heir;
	struct context_entry *context;
	unsigned long flags;
	u64 lo;

	if (!domain)
		return false;

	spin_lock(&iommu->lock);
	spin_lock_irqsave(&domain->lock, flags);
	heir = find_sibling(info, rid);
	context = heir ? iommu_context_addr(iommu, PCI_BUS_NUM(rid), rid & 0xff, 0) : NULL;
	if (!context || !context_present(context))
		goto out;

	/* Only the device that goes was known to have PASIDs, page requests and ATS */
	lo = context->lo;
	if (sm_supported(iommu)) {
		lo &= ~(VTD_PAGE_MASK | CONTEXT_SM_PDTS);
		lo |= virt_to_phys(heir->pasid_table->table) |
		      FIELD_PREP(CONTEXT_SM_PDTS, context_get_sm_pds(heir->pasid_table));
		if (rid == PCI_DEVID(info->bus, info->devfn))
			lo &= ~CONTEXT_SM_CAPS;
	} else if (context_tt(context) == CONTEXT_TT_DEV_IOTLB && rid == PCI_DEVID(info->bus, info->devfn)) {
		lo &= ~((u64)CONTEXT_TT_DEV_IOTLB << CONTEXT_TT_SHIFT);
	}
	if (lo == context->lo)
		goto out;

	WRITE_ONCE(context->lo, lo);
	__iommu_flush_cache(iommu, context, sizeof(*context));
	flush_rid(info, rid, domain_id_iommu(domain, iommu));
out:
	spin_unlock_irqrestore(&domain->lock, flags);
	spin_unlock(&iommu->lock);
	return heir;
}

static int hand_over(struct pci_dev *pdev, u16 rid, void *data)
{
	intel_hand_over_alias(data, rid);
	return 0;
}

/**
 * intel_leave_aliases() - A device is about to be removed: nobody else is translated by its tables afterwards
 * @info: what the driver knows about the device
 */
void intel_leave_aliases(struct device_domain_info *info)
{
	info->leaving = true;
	visit_rids(info, hand_over, info);
}

/**
 * intel_iommu_replace_prepare() - Decide whether a device can be moved, in the shortest way that its entry allows
 * @domain: domain to move to
 * @old: domain it is attached to
 * @dev: the device
 *
 * Context: group->mutex held until the matching intel_iommu_replace_commit() or intel_iommu_replace_abort().
 * Return: 0; or -errno with nothing changed: -EBUSY when @dev is not attached to @old or still has the translation of
 * a crashed kernel; -EINVAL when its IOMMU cannot use @domain, or no attach has fitted @domain to a device yet;
 * -EOPNOTSUPP when the device has to be taken out of one to get into the other; -ENOMEM or -ENOSPC.
 */
int intel_iommu_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *new = to_dmar_domain(domain);
	int rc;

	if (info->domain != to_dmar_domain(old))
		return -EBUSY;
	/* An attach may fit a domain to the device; that stays although something fails afterwards, so not here */
	if (intel_domain_may_change(new))
		return -EINVAL;

	rc = intel_domain_check(new, info->iommu);
	return rc ?: exchange_prepare(new, info);
}

/**
 * intel_iommu_replace_commit() - Move a device that intel_iommu_replace_prepare() said yes to
 * @domain: domain to move to
 * @old: domain it is attached to
 * @dev: the device
 *
 * Context: group->mutex held.
 */
void intel_iommu_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	exchange_commit(to_dmar_domain(domain), dev_iommu_priv_get(dev));
}

/**
 * intel_iommu_replace_abort() - Give back what intel_iommu_replace_prepare() took
 * @domain: domain that the device does not move to after all
 * @dev: the device
 *
 * Context: group->mutex held.
 */
void intel_iommu_replace_abort(struct iommu_domain *domain, struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	domain_detach_iommu(to_dmar_domain(domain), info->iommu);
}
