// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm-smmu-v3-pasid - what translates the requests of a device with PASID
 *
 * A PASID is the SubstreamID that selects a context descriptor, see arm-smmu-v3-cd.c; so any stage 1 of the same SMMU
 * can be attached to one, while the requests without PASID go through a stage 1 as well, or through none. They cannot
 * go through a stage 2: there the STE knows no substreams. SubstreamID 0 is theirs.
 *
 * A PASID moves from one domain to another by one write that hardware sees at once. The TLBs of the SMMU tell the
 * domains by their ASIDs; the device's ATC does not, and is flushed. An unmap in either domain finds the attachment as
 * long as hardware may have something of that domain for it: it is on both lists while it moves.
 *
 * PASIDs are turned on at the device while it has an SMMU, as in Linux 6.1, from before ATS is turned on until after it
 * is turned off: PCI Express leaves undefined what a device does whose PASIDs change with ATS on, and shared virtual
 * addressing finds ATS on. What is turned on and off here is who may attach something to them. Without a context
 * descriptor a request with PASID is aborted. ATS, with PASID or without, is on while the requests without PASID go
 * through a page table; while they do not, PASIDs are translated without it.
 *
 * Either domains or processes (shared virtual addressing) have the PASIDs of a master. A process has the same PASID at
 * all devices, which nobody keeps a user from attaching to something else.
 *
 * Locking: the core's group->mutex serialises what happens to one device. arm_smmu_asid_lock, inside of it, keeps the
 * ASID of a domain, and who is on its list, as they are while context descriptors are written.
 */
#include <linux/slab.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-attach.h"
#include "arm-smmu-v3-ste.h"

/* Moves change sides, so that they need no memory */
struct smmu_substream {
	struct smmu_attachment at[2];
	bool side;				/* the attachment that is on the list of @domain */
	struct arm_smmu_domain *domain;		/* NULL until the attach is committed */
};

/* Of one domain: an unmap flushes their ATCs one by one, under a lock */
#define MAX_SUBSTREAMS	1024

/**
 * smmu_pasids_init() - A master has PASIDs, none of which is attached
 * @master: the master
 */
void smmu_pasids_init(struct arm_smmu_master *master)
{
	xa_init(&master->pasids.substreams);
}

/**
 * smmu_pasids_claim() - Say what the PASIDs of a master mean from now on
 * @master: the master
 * @user: who will attach them
 *
 * Return: true; or false when they are somebody's already.
 */
bool smmu_pasids_claim(struct arm_smmu_master *master, enum smmu_pasid_user user)
{
	return cmpxchg(&master->pasids.user, SMMU_PASIDS_UNUSED, user) == SMMU_PASIDS_UNUSED;
}

/**
 * smmu_pasids_unclaim() - The counterpart of a successful smmu_pasids_claim()
 * @master: the master, none of whose PASIDs is attached
 */
void smmu_pasids_unclaim(struct arm_smmu_master *master)
{
	xchg(&master->pasids.user, SMMU_PASIDS_UNUSED);
}

/**
 * smmu_pasid_enable() - Let PASIDs of a device be attached to domains
 * @dev: the device
 *
 * Context: group->mutex held. A number above 0 is paired with smmu_pasid_disable().
 * Return: the PASIDs that can be used are below this; 0 when device, path or SMMU has none; -EBUSY while the driver of
 * the device has shared virtual addressing turned on.
 */
int smmu_pasid_enable(struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	/* What device, path and SMMU have between them, since the probe */
	if (!master->ssid_bits)
		return 0;
	return smmu_pasids_claim(master, SMMU_PASIDS_OF_DOMAINS) ? 1 << master->ssid_bits : -EBUSY;
}

/**
 * smmu_pasid_disable() - Undo smmu_pasid_enable()
 * @dev: the device
 *
 * Context: group->mutex held. No PASID is attached any more.
 */
void smmu_pasid_disable(struct device *dev)
{
	smmu_pasids_unclaim(dev_iommu_priv_get(dev));
}

static int check(struct arm_smmu_master *master, struct arm_smmu_domain *new, ioasid_t pasid)
{
	if (READ_ONCE(master->pasids.user) != SMMU_PASIDS_OF_DOMAINS || !pasid)
		return -EINVAL;
	if (new->smmu != master->smmu || new->stage != ARM_SMMU_DOMAIN_S1)
		return -EINVAL;
	return smmu_master_has_stage2(master) ? -EBUSY : 0;
}

static int reserve(struct arm_smmu_domain *domain)
{
	int rc = 0;

	mutex_lock(&arm_smmu_asid_lock);
	if (domain->num_substreams < MAX_SUBSTREAMS)
		domain->num_substreams++;
	else
		rc = -ENOSPC;
	mutex_unlock(&arm_smmu_asid_lock);
	return rc;
}

static void unreserve(struct arm_smmu_domain *domain)
{
	mutex_lock(&arm_smmu_asid_lock);
	domain->num_substreams--;
	mutex_unlock(&arm_smmu_asid_lock);
}

static int add_substream(struct arm_smmu_master *master, ioasid_t pasid)
{
	struct smmu_substream *sub = kzalloc(sizeof(*sub), GFP_KERNEL_ACCOUNT);
	unsigned int i;
	int rc;

	if (!sub)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(sub->at); i++) {
		sub->at[i].master = master;
		sub->at[i].ssid = pasid;
	}
	rc = xa_insert(&master->pasids.substreams, pasid, sub, GFP_KERNEL_ACCOUNT);
	if (rc)
		kfree(sub);
	return rc;
}

static void free_substream(struct arm_smmu_master *master, ioasid_t pasid)
{
	kfree(xa_erase(&master->pasids.substreams, pasid));
}

/**
 * smmu_pasid_prepare() - Decide whether a PASID of a device can be attached, or moved, to a domain
 * @domain: domain to attach to
 * @old: domain it is attached to, or NULL
 * @dev: the device
 * @pasid: the PASID
 *
 * Takes all that the commit needs.
 *
 * Context: group->mutex held until the matching smmu_pasid_commit() or smmu_pasid_abort().
 * Return: 0; or -errno with nothing changed: -EINVAL when the device has no PASIDs now or not this one, or @domain is
 * none of its SMMU, or no stage 1; -EBUSY when @old is not what is attached, or the requests without PASID go through
 * a stage 2; -ENOMEM; -ENOSPC when @domain has too many attachments.
 */
int smmu_pasid_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev, ioasid_t pasid)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_domain *new = to_smmu_domain(domain);
	struct smmu_substream *sub;
	int rc;

	rc = check(master, new, pasid);
	if (rc)
		return rc;
	sub = xa_load(&master->pasids.substreams, pasid);
	if ((sub ? &sub->domain->domain : NULL) != old)
		return -EBUSY;

	rc = smmu_cds_prepare(master, pasid);
	if (rc)
		return rc;
	rc = reserve(new);
	if (rc || sub)
		return rc;
	rc = add_substream(master, pasid);
	if (rc)
		unreserve(new);
	return rc;
}

/* The old CD, if any, is gone on return, and with it what the TLBs of the SMMU could use of its domain */
static void set_cd(struct arm_smmu_master *master, u32 ssid, const struct arm_smmu_ctx_desc *desc)
{
	struct smmu_entry cd;

	smmu_cd_translate(&cd, desc, master->stall_enabled);
	smmu_cds_set(master, ssid, &cd);
}

/**
 * smmu_pasid_commit() - Attach or move a PASID that smmu_pasid_prepare() said yes to
 * @domain: domain to attach to
 * @old: domain it is attached to, or NULL
 * @dev: the device
 * @pasid: the PASID
 *
 * Context: group->mutex held. May sleep.
 */
void smmu_pasid_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev, ioasid_t pasid)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct smmu_substream *sub = xa_load(&master->pasids.substreams, pasid);
	struct arm_smmu_domain *was = sub->domain, *is = to_smmu_domain(domain);

	mutex_lock(&arm_smmu_asid_lock);
	smmu_attachment_link(&sub->at[!sub->side], is);
	set_cd(master, pasid, &is->s1_cfg.cd);
	if (was) {
		smmu_master_inv_atc(master, pasid);
		smmu_attachment_unlink(&sub->at[sub->side], was);
		was->num_substreams--;
	} else {
		/* Where the requests without PASID have no page table, the STE leads to CDs since there is one */
		__smmu_install_ste(master);
	}
	sub->side = !sub->side;
	sub->domain = is;
	mutex_unlock(&arm_smmu_asid_lock);
}

/**
 * smmu_pasid_abort() - Give back what smmu_pasid_prepare() took
 * @domain: domain that the PASID is not attached to after all
 * @dev: the device
 * @pasid: the PASID
 *
 * Context: group->mutex held.
 */
void smmu_pasid_abort(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct smmu_substream *sub = xa_load(&master->pasids.substreams, pasid);

	if (!sub->domain)
		free_substream(master, pasid);
	unreserve(to_smmu_domain(domain));
}

/**
 * smmu_pasid_remove() - Block a PASID
 * @old: domain it is attached to
 * @dev: the device
 * @pasid: the PASID
 *
 * When it returns neither SMMU nor device use anything of what @old translated for it.
 *
 * Context: group->mutex held. May sleep.
 */
void smmu_pasid_remove(struct iommu_domain *old, struct device *dev, ioasid_t pasid)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct smmu_substream *sub = xa_load(&master->pasids.substreams, pasid);
	struct arm_smmu_domain *domain = to_smmu_domain(old);

	if (WARN_ON(!sub || sub->domain != domain))
		return;

	mutex_lock(&arm_smmu_asid_lock);
	smmu_cds_set(master, pasid, NULL);
	__smmu_install_ste(master);
	smmu_master_inv_atc(master, pasid);
	smmu_attachment_unlink(&sub->at[sub->side], domain);
	domain->num_substreams--;
	mutex_unlock(&arm_smmu_asid_lock);
	free_substream(master, pasid);
}

/**
 * smmu_process_attach() - Let a PASID be that of a process
 * @master: a master whose PASIDs are claimed for processes
 * @pasid: PASID of the process
 * @cd: its page table, and its ASID
 *
 * Context: group->mutex held. May sleep.
 * Return: 0; -EINVAL when @master does not have this PASID; or -ENOMEM.
 */
int smmu_process_attach(struct arm_smmu_master *master, u32 pasid, const struct arm_smmu_ctx_desc *cd)
{
	int rc = smmu_cds_prepare(master, pasid);

	if (!rc)
		set_cd(master, pasid, cd);
	return rc;
}

/**
 * smmu_process_exit() - A process that a device still uses exits: no page table is walked any more
 * @master: the master
 * @pasid: PASID of the process
 * @cd: what smmu_process_attach() was given
 *
 * The context descriptor stays valid until smmu_process_detach(). What the device still sends finds no translation.
 *
 * Context: May sleep.
 */
void smmu_process_exit(struct arm_smmu_master *master, u32 pasid, const struct arm_smmu_ctx_desc *cd)
{
	struct smmu_entry quiet;

	smmu_cd_translate(&quiet, cd, master->stall_enabled);
	smmu_cd_quiet(&quiet);
	smmu_cds_set(master, pasid, &quiet);
}

/**
 * smmu_process_detach() - The counterpart of smmu_process_attach()
 * @master: the master
 * @pasid: PASID of the process
 *
 * Context: May sleep.
 */
void smmu_process_detach(struct arm_smmu_master *master, u32 pasid)
{
	smmu_cds_set(master, pasid, NULL);
}

/**
 * smmu_domain_new_asid() - Write the ASID of a domain to whatever is attached to it
 * @domain: a stage 1 domain whose ASID has changed
 *
 * Context: arm_smmu_asid_lock held, so that nobody comes or goes. May sleep.
 */
void smmu_domain_new_asid(struct arm_smmu_domain *domain)
{
	struct smmu_attachment *at;

	lockdep_assert_held(&arm_smmu_asid_lock);

	list_for_each_entry(at, &domain->devices, link)
		set_cd(at->master, at->ssid, &domain->s1_cfg.cd);
}
