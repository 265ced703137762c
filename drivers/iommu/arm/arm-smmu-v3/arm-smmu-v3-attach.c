// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm-smmu-v3-attach - which domain translates the requests of a master that have no SSID
 *
 * First it is decided whether the master can have the domain, and the memory is found for that; an error has changed
 * nothing. Then the image of the stream table entry (STE) is composed, from what the master has then: its domain, its
 * context descriptors (CD), ATS. And then it is written over the old one, which cannot fail. The master is never taken
 * out in between: a DMA is translated by the old domain or by the new one.
 *
 *	from				to			what the master sees of the change
 *	a page table of stage 1		another			one pointer, see arm-smmu-v3-cd.c
 *	stage 1, or none		bypass, abort, stage 1	one word of the STE
 *	stage 2				bypass, abort		one word of the STE
 *	stage 2				another			V=0 in between: VMID and table are in two words
 *	stage 1				stage 2, and back	V=0, but for SMMUs that run at EL2: the VMID changes too
 *
 * During V=0 requests are aborted; that lasts for the CMD_SYNC of a CFGI_STE and is written out in smmu_entry_write().
 *
 * Nobody has to flush TLBs: their entries carry the ASID or VMID of the domain, which flushes them when it is
 * unmapped, and when it is freed, before another gets the number. The device's own TLB (ATC) does not: it is emptied
 * after each change, and until that is done the master is on the lists of both domains, so that an unmap in either
 * reaches it. ATS is on while requests without SSID go through a page table, as in Linux 6.1.
 *
 * Locking, inner ones last:
 *
 *	group->mutex			the core's: one change at a time for a master
 *	  domain->init_mutex		the first master of a domain decides its SMMU
 *	  arm_smmu_asid_lock		ASIDs, which shared virtual addressing may change. A CD is composed and the
 *					attachment linked in one go, so that it finds either neither or both
 *	    master->cds.lock		contents of the CDs
 *	    domain->devices_lock	attachments of a domain; changed with arm_smmu_asid_lock held as well, so either
 *					is enough to walk them
 */
#include <linux/pci-ats.h>
#include <linux/pci.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-ste.h"

/* One entry of the stream table: a master has one for each of its streams */
struct stream_place {
	struct arm_smmu_device *smmu;
	u32 sid;
};

/* Drops the pointer to the table as well: a stream that had no table before may be remembered as one that has none */
static void forget_ste(void *place)
{
	struct stream_place *at = place;
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_CFGI_STE,
		.cfgi = { .sid = at->sid, .leaf = false },
	};

	arm_smmu_cmdq_issue_cmd_with_sync(at->smmu, &cmd);
}

static unsigned int ste_flags(struct arm_smmu_master *master)
{
	u32 features = master->smmu->features;
	unsigned int flags = 0;

	if (master->ats_enabled)
		flags |= SMMU_STE_ATS;
	if (features & ARM_SMMU_FEAT_E2H)
		flags |= SMMU_STE_E2H;
	if ((features & ARM_SMMU_FEAT_STALLS) && !master->stall_enabled)
		flags |= SMMU_STE_STALLD;
	return flags;
}

static void compose_s1(struct arm_smmu_master *master, u8 dss, struct smmu_entry *ste)
{
	struct smmu_cd_root root;

	smmu_cds_root(master, &root);
	smmu_ste_s1(ste, &root, dss, ste_flags(master));
}

/* Where SSIDs are translated the STE leads to CDs, and S1DSS says what becomes of requests without one */
static void compose_ste(struct arm_smmu_master *master, struct smmu_entry *ste)
{
	enum arm_smmu_domain_stage stage = master->domain ? master->domain->stage : ARM_SMMU_DOMAIN_BLOCKED;

	switch (stage) {
	case ARM_SMMU_DOMAIN_S1:
		compose_s1(master, STRTAB_STE_1_S1DSS_SSID0, ste);
		break;
	case ARM_SMMU_DOMAIN_S2:
	case ARM_SMMU_DOMAIN_NESTED:
		smmu_ste_s2(ste, &master->domain->s2_cfg, ste_flags(master));
		break;
	case ARM_SMMU_DOMAIN_BYPASS:
		if (master->cds.used)
			compose_s1(master, STRTAB_STE_1_S1DSS_BYPASS, ste);
		else
			smmu_ste_bypass(ste);
		break;
	case ARM_SMMU_DOMAIN_BLOCKED:
		if (master->cds.used)
			compose_s1(master, STRTAB_STE_1_S1DSS_TERMINATE, ste);
		else
			smmu_ste_abort(ste);
		break;
	}
}

static bool is_repeated(struct arm_smmu_master *master, unsigned int stream)
{
	unsigned int i;

	/* Behind a bridge to conventional PCI a device may have the same id twice */
	for (i = 0; i < stream; i++) {
		if (master->streams[i].id == master->streams[stream].id)
			return true;
	}
	return false;
}

/**
 * __smmu_install_ste() - Let all streams of a master do what its state asks for
 * @master: the master; its domain, CDs, live SSIDs and ATS are what is asked for
 *
 * Cannot fail. Nothing of the old STE is cached on return. Where smmu_entry_is_seamless() says so, a request sees the
 * old STE or the new one and nothing else.
 *
 * Context: May sleep. group->mutex held, and whatever keeps the CDs of @master in place.
 */
void __smmu_install_ste(struct arm_smmu_master *master)
{
	struct stream_place at = { .smmu = master->smmu };
	struct smmu_entry ste, *live;
	unsigned int i;

	compose_ste(master, &ste);
	for (i = 0; i < master->num_streams; i++) {
		if (is_repeated(master, i))
			continue;
		at.sid = master->streams[i].id;
		live = (struct smmu_entry *)arm_smmu_get_step_for_sid(master->smmu, at.sid);
		smmu_entry_write(&smmu_ste_kind, live, &ste, forget_ste, &at);
	}
}

/**
 * smmu_stes_init() - Fill a part of the stream table that no SMMU has seen yet
 * @strtab: the first entry
 * @nent: how many
 * @bypass: let everything through, or abort everything
 */
void smmu_stes_init(__le64 *strtab, unsigned int nent, bool bypass)
{
	struct smmu_entry *stes = (struct smmu_entry *)strtab, ste;
	unsigned int i;

	if (bypass)
		smmu_ste_bypass(&ste);
	else
		smmu_ste_abort(&ste);
	for (i = 0; i < nent; i++)
		stes[i] = ste;
}

/**
 * smmu_attachment_link() - From now on an unmap in a domain invalidates what a master has cached of it
 * @att: not linked, its master and ssid set
 * @domain: paging domain
 *
 * To be linked before hardware translates by @domain.
 *
 * Context: arm_smmu_asid_lock held. Takes domain->devices_lock.
 */
void smmu_attachment_link(struct smmu_attachment *att, struct arm_smmu_domain *domain)
{
	unsigned long flags;

	lockdep_assert_held(&arm_smmu_asid_lock);

	att->ats = arm_smmu_ats_supported(att->master);
	spin_lock_irqsave(&domain->devices_lock, flags);
	list_add(&att->link, &domain->devices);
	spin_unlock_irqrestore(&domain->devices_lock, flags);
	if (att->ats)
		atomic_inc(&domain->nr_ats_masters);
}

/**
 * smmu_attachment_unlink() - Undo smmu_attachment_link()
 * @att: linked to @domain, of which the master has nothing cached any more but in TLBs by ASID or VMID
 * @domain: the domain
 *
 * Context: arm_smmu_asid_lock held. Takes domain->devices_lock.
 */
void smmu_attachment_unlink(struct smmu_attachment *att, struct arm_smmu_domain *domain)
{
	unsigned long flags;

	lockdep_assert_held(&arm_smmu_asid_lock);

	if (att->ats)
		atomic_dec(&domain->nr_ats_masters);
	spin_lock_irqsave(&domain->devices_lock, flags);
	list_del_init(&att->link);
	spin_unlock_irqrestore(&domain->devices_lock, flags);
}

/**
 * smmu_master_inv_atc_range() - Have a device forget translations of a range of addresses
 * @master: the master, whether it uses ATS or not
 * @ssid: the substream; with 0 those of all
 * @iova: start of the range
 * @size: bytes; with 0 all addresses
 *
 * IHI 0070, 4.5 "ATS and PRI". The TLBs of the SMMU, from which the device fetches, come first.
 */
void smmu_master_inv_atc_range(struct arm_smmu_master *master, u32 ssid, unsigned long iova, size_t size)
{
	struct arm_smmu_cmdq_batch cmds;
	struct arm_smmu_cmdq_ent cmd;
	unsigned int i;

	if (!master->ats_enabled)
		return;

	arm_smmu_atc_inv_to_cmd(ssid, iova, size, &cmd);
	cmds.num = 0;
	for (i = 0; i < master->num_streams; i++) {
		cmd.atc.sid = master->streams[i].id;
		arm_smmu_cmdq_batch_add(master->smmu, &cmds, &cmd);
	}
	arm_smmu_cmdq_batch_submit(master->smmu, &cmds);
}

/**
 * smmu_master_inv_atc() - Have a device forget the translations of a substream
 * @master: the master, whether it uses ATS or not
 * @ssid: the substream; with 0 those of all
 */
void smmu_master_inv_atc(struct arm_smmu_master *master, u32 ssid)
{
	smmu_master_inv_atc_range(master, ssid, 0, 0);
}

/*
 * STEs that are installed from now on answer translation requests, and who unmaps something invalidates them. After
 * that enable_ats() lets the device send them.
 *
 * Return: true when enable_ats() has to follow.
 */
static bool begin_ats(struct arm_smmu_master *master)
{
	if (master->ats_enabled || !arm_smmu_ats_supported(master))
		return false;
	master->ats_enabled = true;
	return true;
}

static void enable_ats(struct arm_smmu_master *master)
{
	/* Smallest translation unit: log2 of the smallest granule */
	int stu = __ffs(master->smmu->pgsize_bitmap);

	smmu_master_inv_atc(master, 0);
	if (pci_enable_ats(to_pci_dev(master->dev), stu))
		dev_err(master->dev, "Failed to enable ATS (STU %d)\n", stu);
}

/* STEs still answer, and attachments are still linked: the device may have asked just now */
static void end_ats(struct arm_smmu_master *master)
{
	if (!master->ats_enabled)
		return;
	if (to_pci_dev(master->dev)->ats_enabled)
		pci_disable_ats(to_pci_dev(master->dev));
	/* The device has been told before the SMMU is */
	wmb();
	smmu_master_inv_atc(master, 0);
	master->ats_enabled = false;
}

static struct smmu_attachment *linked_rid(struct arm_smmu_master *master)
{
	return list_empty(&master->rid[0].link) ? &master->rid[1] : &master->rid[0];
}

static struct smmu_attachment *spare_rid(struct arm_smmu_master *master)
{
	return list_empty(&master->rid[0].link) ? &master->rid[0] : &master->rid[1];
}

static bool is_paging(struct arm_smmu_domain *domain)
{
	return domain && smmu_domain_is_paging(domain);
}

static bool has_cd(struct arm_smmu_domain *domain)
{
	return domain && domain->stage == ARM_SMMU_DOMAIN_S1;
}

/**
 * smmu_master_has_stage1() - Do requests without SSID go through a context descriptor?
 * @master: a master
 *
 * Context: group->mutex held.
 * Return: true when they do.
 */
bool smmu_master_has_stage1(struct arm_smmu_master *master)
{
	return has_cd(master->domain);
}

/**
 * smmu_master_has_stage2() - Do requests without SSID go through a stage 2, so that there can be none with one?
 * @master: a master
 *
 * Context: group->mutex held.
 * Return: true when they do.
 */
bool smmu_master_has_stage2(struct arm_smmu_master *master)
{
	return is_paging(master->domain) && !has_cd(master->domain);
}

/*
 * Cannot fail. What leads hardware to the new domain is written before what led to the old one is taken away, and
 * where a pointer decides, what it points to is there first.
 */
static void install_domain(struct arm_smmu_master *master, struct arm_smmu_domain *new)
{
	struct arm_smmu_domain *old = master->domain;
	struct smmu_attachment *was = is_paging(old) ? linked_rid(master) : NULL;
	bool start_ats = false;
	struct smmu_entry cd;

	mutex_lock(&arm_smmu_asid_lock);
	if (is_paging(new))
		start_ats = begin_ats(master);
	else
		end_ats(master);
	if (is_paging(new))
		smmu_attachment_link(spare_rid(master), new);

	master->domain = new;
	if (has_cd(new)) {
		smmu_cd_translate(&cd, &new->s1_cfg.cd, master->stall_enabled);
		smmu_cds_set(master, 0, &cd);
	}
	__smmu_install_ste(master);
	if (has_cd(old) && !has_cd(new))
		smmu_cds_set(master, 0, NULL);

	if (start_ats)
		enable_ats(master);
	else
		smmu_master_inv_atc(master, 0);
	if (was)
		smmu_attachment_unlink(was, old);
	mutex_unlock(&arm_smmu_asid_lock);
}

/*
 * Can the master have a domain that belongs to its SMMU already? Finds the memory for it.
 *
 * Return: 0; -EINVAL for a domain of another SMMU, or of none yet; -EBUSY while processes share their address spaces
 * with the master, or SSIDs are translated that would be lost; -ENOMEM.
 */
static int prepare_domain(struct arm_smmu_master *master, struct arm_smmu_domain *new)
{
	if (arm_smmu_master_sva_enabled(master))
		return -EBUSY;
	if (!is_paging(new))
		return 0;
	if (new->smmu != master->smmu)
		return -EINVAL;
	if (has_cd(new))
		return smmu_cds_prepare(master, 0);
	return master->cds.used ? -EBUSY : 0;
}

/**
 * smmu_attach_dev() - Attach a master to a domain, whatever it is attached to now
 * @domain: the domain
 * @dev: the master's device
 *
 * Neither attaching to a blocked domain nor going back to one that the master had before can fail.
 *
 * Context: group->mutex held. May sleep.
 * Return: 0, also when it is attached there already; or -errno with the master attached as before: -EINVAL for a
 * domain of another SMMU; -EBUSY while processes share their address spaces with the master, or when SSIDs are
 * translated and @domain is a stage 2; -ENOSPC when the SMMU has no ASID or VMID left; -ENOMEM.
 */
int smmu_attach_dev(struct iommu_domain *domain, struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_domain *new = to_smmu_domain(domain);
	int rc;

	if (master->domain == new)
		return 0;

	rc = smmu_domain_settle(new, master);
	if (!rc)
		rc = prepare_domain(master, new);
	if (!rc)
		install_domain(master, new);
	return rc;
}

/**
 * smmu_replace_prepare() - Decide whether a master can be moved, and find the memory for it
 * @domain: domain to move to
 * @old: domain it is attached to
 * @dev: the master's device
 *
 * The table at the top of this file says which moves are without a gap.
 *
 * Context: group->mutex held until the matching smmu_replace_commit() or smmu_replace_abort().
 * Return: 0; or -errno with nothing changed: -EBUSY when @dev is not attached to @old, while processes share their
 * address spaces with the master, or when SSIDs are translated and @domain is a stage 2; -EINVAL for a domain of
 * another SMMU, or one that no attach has fitted to an SMMU yet; -ENOMEM.
 */
int smmu_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	if (master->domain != to_smmu_domain(old))
		return -EBUSY;
	return prepare_domain(master, to_smmu_domain(domain));
}

/**
 * smmu_replace_commit() - Move a master that smmu_replace_prepare() said yes to
 * @domain: domain to move to
 * @old: domain it is attached to
 * @dev: the master's device
 *
 * Context: group->mutex held. May sleep.
 */
void smmu_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	install_domain(dev_iommu_priv_get(dev), to_smmu_domain(domain));
}

/**
 * smmu_replace_abort() - A master is not moved after all
 * @domain: domain that it does not move to
 * @dev: the master's device
 *
 * Memory for context descriptors stays until the master is removed.
 */
void smmu_replace_abort(struct iommu_domain *domain, struct device *dev)
{
}

/**
 * smmu_master_init() - A master is attached to nothing, and has no context descriptors
 * @master: a new master
 */
void smmu_master_init(struct arm_smmu_master *master)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(master->rid); i++) {
		INIT_LIST_HEAD(&master->rid[i].link);
		master->rid[i].master = master;
	}
	smmu_cds_init(master);
	smmu_pasids_init(master);
}

/**
 * smmu_master_leave() - A master is removed: abort what it still sends, and free its context descriptors
 * @master: the master
 *
 * Context: group->mutex held. May sleep.
 */
void smmu_master_leave(struct arm_smmu_master *master)
{
	/* A driver may have left processes attached, of which a warning tells: the STE must not lead to their CDs */
	master->cds.used = 0;
	if (master->domain)
		install_domain(master, NULL);
	smmu_cds_free(master);
}
