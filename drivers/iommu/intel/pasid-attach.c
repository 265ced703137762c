// SPDX-License-Identifier: GPL-2.0-only
/*
 * pasid-attach - entries of a device's PASID table: what translates one PASID, and how that changes
 *
 * In scalable mode every request of a device is translated by an entry of its PASID table. A request without PASID
 * takes the entry RID2PASID (0), so what stands here holds for both. An entry has 512 bits, and the hardware reads
 * them in pieces of 128 (VT-d specification, section 9.6). Two second-level translations differ in the first piece
 * only, and one instruction writes that; any other change of a present entry goes through "not present" (section
 * 6.5.3.3):
 *
 *	from		to		order
 *	absent		any		upper pieces; first piece with P
 *	second level	second level	first piece exchanged; C, T, D of the old one; Q
 *	any other	any other	P off; C, T, D of the old one; upper pieces; first piece with P; Q
 *	any		absent		P off; C, T, D of the old one; the rest off; Q
 *
 *	C	PASID cache, of this PASID, under the domain id that was in the entry	section 6.5.2.2
 *	T	IOTLB: a second-level translation by that domain id, which covers its
 *		PASIDs all at once; a first-level or pass-through one by domain id and
 *		PASID								sections 6.5.2.3, 6.5.2.4
 *	D	device-TLB, when the device has ATS on: all of one PASID, or of the
 *		requests without one						sections 6.5.2.5, 6.5.2.6
 *	Q	page requests with the PASID on their way, when the device has
 *		PRI on; Linux 6.1 refuses those without one as they come	section 7.10
 *
 * Hardware with caching mode also remembers that an entry was absent. With it a present entry is followed by C under
 * domain id 0, and C and T of the new one (section 6.1).
 *
 * Q comes last, as it sleeps: a request that the old translation caused may be answered when the new one is there.
 *
 * Who has what: info->pasids of a device leads from a PASID to its attachment, and is empty when the device is
 * released. domain->pasids has the attachments of all devices. An unmap flushes what that list says, so an attachment
 * is on it as long as hardware may have something of the domain for it.
 *
 * Locking: the core's group->mutex serialises all calls for one device. Entries and lists change together under the
 * locks that attach.c names; an unmap takes domain->lock only.
 */
#include <linux/pci.h>
#include <linux/pci-ats.h>

#include "attach.h"
#include "pasid.h"

struct intel_pasid_attachment {
	struct list_head link;			/* domain->pasids; domain->lock */
	struct device_domain_info *info;
	struct dmar_domain *domain;		/* NULL until the attach is committed */
	ioasid_t pasid;
};

/* Of one domain at one IOMMU: an unmap flushes what they have cached one by one, under a lock */
#define MAX_ATTACHMENTS	1024

#define ENTRY_AW(agaw)		((u64)(agaw) << 2)
#define ENTRY_PGTT(pgtt)	((u64)(pgtt) << 6)
#define ENTRY_PWSNP		BIT_ULL(23)	/* second 64 bits */
#define ENTRY_PGSNP		BIT_ULL(24)
#define ENTRY_SRE		BIT_ULL(0)	/* third */
#define ENTRY_FIVE_LEVELS	ENTRY_AW(1)
#define ENTRY_NXE		BIT_ULL(5)

/**
 * intel_pasid_compose() - The entry that makes a domain translate
 * @entry: filled
 * @domain: a domain that intel_domain_check() found good for @iommu
 * @iommu: an IOMMU
 * @did: id that @domain has there
 *
 * Requests for supervisor privilege are let through for pass-through only, which belongs to the kernel.
 */
void intel_pasid_compose(struct pasid_entry *entry, struct dmar_domain *domain, struct intel_iommu *iommu, u16 did)
{
	memset(entry, 0, sizeof(*entry));
	if (intel_domain_is_pass_through(domain)) {
		entry->val[0] = ENTRY_AW(iommu->agaw) | ENTRY_PGTT(PASID_ENTRY_PGTT_PT);
		entry->val[1] = FLPT_DEFAULT_DID;
		entry->val[2] = ecap_srs(iommu->ecap) ? ENTRY_SRE : 0;
	} else if (intel_domain_is_first_level(domain)) {
		entry->val[0] = ENTRY_AW(iommu->agaw) | ENTRY_PGTT(PASID_ENTRY_PGTT_FL_ONLY);
		entry->val[1] = did | (domain->force_snooping ? ENTRY_PGSNP : 0);
		entry->val[2] = virt_to_phys(domain->pgd) | ENTRY_NXE | (domain->agaw == 3 ? ENTRY_FIVE_LEVELS : 0);
	} else {
		entry->val[0] = virt_to_phys(domain->pgd) | ENTRY_AW(domain->agaw) |
				ENTRY_PGTT(PASID_ENTRY_PGTT_SL_ONLY);
		entry->val[1] = did;
	}
	if (ecap_smpwc(iommu->ecap))
		entry->val[1] |= ENTRY_PWSNP;
	entry->val[0] |= PASID_PTE_PRESENT;
}

/**
 * intel_pasid_is_seamless() - Can an entry become another one without being absent in between?
 * @old: a present entry
 * @new: what it becomes
 *
 * Return: true when both are second-level and only the first 128 bits differ, which this processor can write at once.
 */
bool intel_pasid_is_seamless(struct pasid_entry *old, struct pasid_entry *new)
{
	return intel_can_exchange() && pasid_pte_get_pgtt(old) == PASID_ENTRY_PGTT_SL_ONLY &&
	       pasid_pte_get_pgtt(new) == PASID_ENTRY_PGTT_SL_ONLY &&
	       !memcmp(&old->val[2], &new->val[2], sizeof(old->val) - 2 * sizeof(old->val[0]));
}

static void flush_device_tlb(struct device_domain_info *info, u32 pasid, u64 addr, unsigned int order)
{
	if (!info->ats_enabled || !pci_device_is_present(to_pci_dev(info->dev)))
		return;
	if (pasid == PASID_RID2PASID) {
		__iommu_flush_dev_iotlb(info, addr, order);
		return;
	}
	qi_flush_dev_iotlb_pasid(info->iommu, PCI_DEVID(info->bus, info->devfn), info->pfsid, pasid, info->ats_qdep,
				 addr, order);
	quirk_extra_dev_tlb_flush(info, addr, order, pasid, info->ats_qdep);
}

static void flush_iommu(struct intel_iommu *iommu, u32 pasid, struct pasid_entry *entry)
{
	u16 did = entry->val[1];

	qi_flush_pasid_cache(iommu, did, QI_PC_PASID_SEL, pasid);
	if (pasid_pte_get_pgtt(entry) == PASID_ENTRY_PGTT_FL_ONLY || pasid_pte_get_pgtt(entry) == PASID_ENTRY_PGTT_PT)
		qi_flush_piotlb(iommu, did, pasid, 0, -1, 0);
	else
		iommu->flush.flush_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH);
}

/* All that hardware may remember of what an entry was */
static void flush_old(struct device_domain_info *info, u32 pasid, struct pasid_entry *was)
{
	flush_iommu(info->iommu, pasid, was);
	flush_device_tlb(info, pasid, 0, 64 - VTD_PAGE_SHIFT);
}

/*
 * With caching mode the IOMMU may remember that the entry was absent, under the reserved domain id as
 * domain_context_mapping_one() says. And it may be a hypervisor's, which looks at the entries of the domain that is
 * named.
 */
static void flush_new(struct device_domain_info *info, u32 pasid, struct pasid_entry *new)
{
	struct intel_iommu *iommu = info->iommu;

	if (!cap_caching_mode(iommu->cap)) {
		iommu_flush_write_buffer(iommu);
		return;
	}
	qi_flush_pasid_cache(iommu, 0, QI_PC_PASID_SEL, pasid);
	flush_iommu(iommu, pasid, new);
}

static void write_first_piece(struct pasid_entry *entry, u64 lo, u64 hi)
{
	if (intel_can_exchange()) {
		intel_exchange(entry->val, lo, hi);
		return;
	}
	WRITE_ONCE(entry->val[1], hi);
	dma_wmb();
	WRITE_ONCE(entry->val[0], lo);
}

static void write_upper_pieces(struct pasid_entry *entry, const struct pasid_entry *from)
{
	int i;

	for (i = 2; i < ARRAY_SIZE(entry->val); i++)
		WRITE_ONCE(entry->val[i], from ? from->val[i] : 0);
	dma_wmb();
}

static void take_away(struct device_domain_info *info, u32 pasid, struct pasid_entry *entry)
{
	struct pasid_entry was = *entry;

	WRITE_ONCE(entry->val[0], was.val[0] & ~(u64)PASID_PTE_PRESENT);
	__iommu_flush_cache(info->iommu, entry, sizeof(*entry));
	flush_old(info, pasid, &was);
}

/**
 * __intel_pasid_set() - Let a domain translate a PASID, whatever did so before
 * @info: what the driver knows about the device
 * @pasid: the PASID, or PASID_RID2PASID
 * @domain: the domain, which has an id at the IOMMU and is one that @info->iommu can use
 *
 * Cannot fail. When it returns nothing is translated, or cached, by what was there before.
 *
 * Context: iommu->lock, and the locks of @domain and of the domain before. The table that holds the entry is there.
 */
void __intel_pasid_set(struct device_domain_info *info, u32 pasid, struct dmar_domain *domain)
{
	struct pasid_entry *entry = intel_pasid_get_entry(info->dev, pasid);
	struct intel_iommu *iommu = info->iommu;
	u16 did = domain_id_iommu(domain, iommu);
	struct pasid_entry new, was;

	if (WARN_ON(!entry))
		return;
	intel_pasid_compose(&new, domain, iommu, did);

	/* Read without the lock by an unmap, after it cleared the table */
	if (info->ats_enabled)
		domain->has_iotlb_device = true;

	was = *entry;
	if (pasid_pte_is_present(&was) && intel_pasid_is_seamless(&was, &new)) {
		intel_exchange(entry->val, new.val[0], new.val[1]);
		__iommu_flush_cache(iommu, entry, sizeof(*entry));
		flush_old(info, pasid, &was);
	} else {
		if (pasid_pte_is_present(&was))
			take_away(info, pasid, entry);
		write_upper_pieces(entry, &new);
		write_first_piece(entry, new.val[0], new.val[1]);
		__iommu_flush_cache(iommu, entry, sizeof(*entry));
	}
	flush_new(info, pasid, &new);
}

/* The counterpart, with the same contract */
static void __intel_pasid_clear(struct device_domain_info *info, u32 pasid)
{
	struct pasid_entry *entry = intel_pasid_get_entry(info->dev, pasid);

	if (WARN_ON(!entry || !pasid_pte_is_present(entry)))
		return;
	take_away(info, pasid, entry);
	write_first_piece(entry, 0, 0);
	write_upper_pieces(entry, NULL);
	__iommu_flush_cache(info->iommu, entry, sizeof(*entry));
}

/**
 * intel_domain_flush_first_level() - Flush a range of a first-level table from the IOTLB
 * @domain: a first-level domain
 * @iommu: an IOMMU it is attached to
 * @addr: IOVA, aligned to the range
 * @pages: pages of the range, a power of two; or -1 for all
 * @ih: only entries of the last level changed
 *
 * First-level translations are cached by PASID, second-level ones are not.
 */
void intel_domain_flush_first_level(struct dmar_domain *domain, struct intel_iommu *iommu, u64 addr,
				    unsigned long pages, bool ih)
{
	u16 did = domain_id_iommu(domain, iommu);
	struct intel_pasid_attachment *at;
	unsigned long flags;

	qi_flush_piotlb(iommu, did, PASID_RID2PASID, addr, pages, ih);

	spin_lock_irqsave(&domain->lock, flags);
	list_for_each_entry(at, &domain->pasids, link) {
		if (at->info->iommu == iommu)
			qi_flush_piotlb(iommu, did, at->pasid, addr, pages, ih);
	}
	spin_unlock_irqrestore(&domain->lock, flags);
}

/**
 * __intel_domain_flush_pasid_tlbs() - Flush a range from the device-TLBs, for the PASIDs of a domain
 * @domain: a domain, @domain->lock held
 * @addr: IOVA, aligned to the range
 * @order: order of the range in pages
 */
void __intel_domain_flush_pasid_tlbs(struct dmar_domain *domain, u64 addr, unsigned int order)
{
	struct intel_pasid_attachment *at;

	list_for_each_entry(at, &domain->pasids, link)
		flush_device_tlb(at->info, at->pasid, addr, order);
}

/**
 * __intel_domain_has_pasid_tlb() - Does a device cache what a domain translates for a PASID?
 * @domain: a domain, @domain->lock held
 *
 * Return: true when one does.
 */
bool __intel_domain_has_pasid_tlb(struct dmar_domain *domain)
{
	struct intel_pasid_attachment *at;

	list_for_each_entry(at, &domain->pasids, link) {
		if (at->info->ats_enabled)
			return true;
	}
	return false;
}

/* The table that holds the entry, charged to whoever attaches; it stays until the device is released */
static int add_table(struct device_domain_info *info, u32 pasid)
{
	struct pasid_dir_entry *dir = info->pasid_table->table;
	struct page *page;

	dir += pasid >> PASID_PDE_SHIFT;
	if (pasid_pde_is_present(dir))
		return 0;
	page = alloc_pages_node(info->iommu->node, GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);
	if (!page)
		return -ENOMEM;
	__iommu_flush_cache(info->iommu, page_address(page), VTD_PAGE_SIZE);

	/* Shared virtual addressing may have been faster */
	if (cmpxchg64(&dir->val, 0ULL, page_to_phys(page) | PASID_PTE_PRESENT))
		__free_page(page);
	else
		__iommu_flush_cache(info->iommu, dir, sizeof(*dir));
	return 0;
}

/* @new has its reference for the attachment already */
static int check_entry(struct device_domain_info *info, u32 pasid, bool present, struct dmar_domain *new)
{
	struct intel_iommu *iommu = info->iommu;
	struct iommu_domain_info *ref;
	struct context_entry *context;
	struct pasid_entry *entry;
	int rc = 0;

	spin_lock(&iommu->lock);
	ref = xa_load(&new->iommu_array, iommu->seq_id);
	entry = intel_pasid_get_entry(info->dev, pasid);
	context = iommu_context_addr(iommu, info->bus, info->devfn, 1);
	if (!entry || !context)
		rc = -ENOMEM;
	else if (context_copied(iommu, info->bus, info->devfn) || !context_present(context))
		rc = -EBUSY;
	else if (pasid_pte_is_present(entry) != present)
		rc = -EBUSY;
	else if (ref->refcnt > MAX_ATTACHMENTS)
		rc = -ENOSPC;
	spin_unlock(&iommu->lock);

	return rc;
}

/**
 * intel_iommu_pasid_prepare() - Decide whether a PASID of a device can be attached, or moved, to a domain
 * @domain: domain to attach to
 * @old: domain it is attached to, or NULL
 * @dev: the device
 * @pasid: the PASID, not 0
 *
 * Takes all that the commit needs. Only a domain that was allocated for a device will do, as nothing of it can
 * change.
 *
 * Context: group->mutex held until the matching intel_iommu_pasid_commit() or intel_iommu_pasid_abort().
 * Return: 0; or -errno with nothing changed: -EBUSY when @old is not what is attached, shared virtual addressing uses
 * the PASID, or the device still has the translation of a crashed kernel; -EINVAL when the device has no PASIDs now
 * or not this one, or its IOMMU cannot use @domain; -ENOMEM; -ENOSPC when @domain has too many attachments, or the
 * IOMMU no domain id left.
 */
int intel_iommu_pasid_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
			      ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *new = to_dmar_domain(domain);
	struct intel_pasid_attachment *at;
	int rc;

	if (!info->pasid_enabled || !info->pasid_table || pasid == PASID_RID2PASID ||
	    pasid >= info->pasid_table->max_pasid || !new->settled)
		return -EINVAL;
	at = xa_load(&info->pasids, pasid);
	if ((at ? &at->domain->domain : NULL) != old)
		return -EBUSY;

	rc = intel_domain_check(new, info->iommu);
	if (!rc)
		rc = add_table(info, pasid);
	if (rc)
		return rc;
	rc = domain_attach_iommu(new, info->iommu);
	if (rc)
		return rc;
	rc = check_entry(info, pasid, at, new);
	if (rc)
		goto err_put_iommu;
	if (at)
		return 0;

	at = kzalloc(sizeof(*at), GFP_KERNEL_ACCOUNT);
	if (!at) {
		rc = -ENOMEM;
		goto err_put_iommu;
	}
	at->info = info;
	at->pasid = pasid;
	rc = xa_insert(&info->pasids, pasid, at, GFP_KERNEL);
	if (!rc)
		return 0;

	kfree(at);
err_put_iommu:
	domain_detach_iommu(new, info->iommu);
	return rc;
}

static void drain_page_requests(struct device_domain_info *info, u32 pasid, struct dmar_domain *domain)
{
	/* One that was unplugged neither sends requests any more nor answers invalidations */
	if (pci_device_is_present(to_pci_dev(info->dev)))
		intel_drain_page_requests(info->dev, pasid, domain_id_iommu(domain, info->iommu));
}

static void attach_pasid(struct intel_pasid_attachment *at, struct dmar_domain *new)
{
	struct intel_iommu *iommu = at->info->iommu;
	unsigned long flags;

	spin_lock(&iommu->lock);
	spin_lock_irqsave(&new->lock, flags);
	__intel_pasid_set(at->info, at->pasid, new);
	list_add(&at->link, &new->pasids);
	at->domain = new;
	spin_unlock_irqrestore(&new->lock, flags);
	spin_unlock(&iommu->lock);
}

/* An unmap in either domain finds the attachment as long as hardware may have something of that domain for it */
static void move_pasid(struct intel_pasid_attachment *at, struct dmar_domain *new)
{
	struct intel_iommu *iommu = at->info->iommu;
	struct dmar_domain *old = at->domain;
	unsigned long flags;

	spin_lock(&iommu->lock);
	flags = intel_lock_domains(old, new);
	__intel_pasid_set(at->info, at->pasid, new);
	list_move(&at->link, &new->pasids);
	at->domain = new;
	intel_unlock_domains(old, new, flags);
	spin_unlock(&iommu->lock);

	drain_page_requests(at->info, at->pasid, old);
	domain_update_iotlb(old);
	domain_detach_iommu(old, iommu);
}

/**
 * intel_iommu_pasid_commit() - Attach or move a PASID that intel_iommu_pasid_prepare() said yes to
 * @domain: domain to attach to
 * @old: domain it is attached to, or NULL
 * @dev: the device
 * @pasid: the PASID
 *
 * Context: group->mutex held. May sleep.
 */
void intel_iommu_pasid_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
			      ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_pasid_attachment *at = xa_load(&info->pasids, pasid);

	if (old)
		move_pasid(at, to_dmar_domain(domain));
	else
		attach_pasid(at, to_dmar_domain(domain));
}

/**
 * intel_iommu_pasid_abort() - Give back what intel_iommu_pasid_prepare() took
 * @domain: domain that the PASID is not attached to after all
 * @dev: the device
 * @pasid: the PASID
 *
 * Context: group->mutex held.
 */
void intel_iommu_pasid_abort(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_pasid_attachment *at = xa_load(&info->pasids, pasid);

	if (!at->domain) {
		xa_erase(&info->pasids, pasid);
		kfree(at);
	}
	domain_detach_iommu(to_dmar_domain(domain), info->iommu);
}

/**
 * intel_iommu_pasid_remove() - Block a PASID
 * @old: domain it is attached to
 * @dev: the device
 * @pasid: the PASID
 *
 * When it returns neither IOMMU nor device know anything of what @old translated for it.
 *
 * Context: group->mutex held. May sleep.
 */
void intel_iommu_pasid_remove(struct iommu_domain *old, struct device *dev, ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_pasid_attachment *at = xa_load(&info->pasids, pasid);
	struct dmar_domain *domain = to_dmar_domain(old);
	struct intel_iommu *iommu = info->iommu;
	unsigned long flags;

	if (WARN_ON(!at || at->domain != domain))
		return;

	spin_lock(&iommu->lock);
	spin_lock_irqsave(&domain->lock, flags);
	__intel_pasid_clear(info, pasid);
	list_del(&at->link);
	spin_unlock_irqrestore(&domain->lock, flags);
	spin_unlock(&iommu->lock);

	drain_page_requests(info, pasid, domain);
	xa_erase(&info->pasids, pasid);
	kfree(at);
	domain_update_iotlb(domain);
	domain_detach_iommu(domain, iommu);
}
