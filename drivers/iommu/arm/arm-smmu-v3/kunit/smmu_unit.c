// SPDX-License-Identifier: GPL-2.0-only
/*
 * smmu_unit - registers and command queue of an SMMUv3 in software
 *
 * The driver finds it the way it finds any other: a platform device with registers. They are memory at whose end the
 * kernel was told at boot that there is nothing, and the walking thread looks at them. It answers what the driver
 * writes there, and executes the commands of the queue on the caches that smmu_walk.c fills: some when it takes them,
 * some not before the CMD_SYNC behind them, and each drops what the specification (Arm IHI 0070, section 4) promises
 * for it and nothing more. A CMD_CFGI_STE drops no context descriptor here.
 */
#include <linux/bitfield.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/memblock.h>
#include <linux/sizes.h>

#include "smmu_unit.h"

#define REGISTERS	SZ_128K
#define SID_BITS	16
#define QUEUE_BITS	8

/* Commands that Linux 6.1 does not send */
#define OP_TLBI_NH_ALL	0x10
#define OP_TLBI_NH_VAA	0x13

static phys_addr_t registers;

/*
 * Registers cannot be memory that the kernel knows, for that is not remapped. The end of all memory is where neither
 * the kernel nor its initial RAM disk are.
 */
static int __init keep_registers(char *arg)
{
	bool enabled;

	if (kstrtobool(arg ?: "1", &enabled) || !enabled)
		return 0;
	registers = round_down(memblock_end_of_DRAM() - REGISTERS, SZ_64K);
	memblock_mark_nomap(registers, REGISTERS);
	return 0;
}
early_param("kunit.enable", keep_registers);

void smmu_unit_misuse(struct smmu_unit *unit, const char *what)
{
	if (!unit->misuse)
		unit->misuse = what;
}

static void flush_stes(struct smmu_unit *unit, const u64 *cmd)
{
	struct walk_key key = { FIELD_GET(CMDQ_CFGI_0_SID, cmd[0]), WALK_ANY, WALK_ANY, 0, 64 };

	walk_cache_flush(&unit->ste, &key);
}

/* Only a range of all: it drops the context descriptors as well */
static void flush_configuration(struct smmu_unit *unit, const u64 *cmd)
{
	struct walk_key key = { WALK_ANY, WALK_ANY, WALK_ANY, 0, 64 };

	if (FIELD_GET(CMDQ_CFGI_1_RANGE, cmd[1]) != 31)
		smmu_unit_misuse(unit, "range of streams");
	walk_cache_flush(&unit->ste, &key);
	walk_cache_flush(&unit->l1cd, &key);
	walk_cache_flush(&unit->cd, &key);
}

static void flush_cd(struct smmu_unit *unit, const u64 *cmd)
{
	struct walk_key key = { FIELD_GET(CMDQ_CFGI_0_SID, cmd[0]), FIELD_GET(CMDQ_CFGI_0_SSID, cmd[0]), WALK_ANY,
				0, 64 };

	walk_cache_flush(&unit->cd, &key);
	if (cmd[1] & CMDQ_CFGI_1_LEAF)
		return;
	key.pasid >>= CTXDESC_SPLIT;
	walk_cache_flush(&unit->l1cd, &key);
}

static void flush_cds(struct smmu_unit *unit, const u64 *cmd)
{
	struct walk_key key = { FIELD_GET(CMDQ_CFGI_0_SID, cmd[0]), WALK_ANY, WALK_ANY, 0, 64 };

	walk_cache_flush(&unit->cd, &key);
	walk_cache_flush(&unit->l1cd, &key);
}

/* By VMID, and the ASID of stage 1 */
static void flush_tlb(struct smmu_unit *unit, enum smmu_stage stage, u32 vmid, u32 asid)
{
	struct walk_key key = { WALK_ANY, asid, vmid, 0, 64 };

	walk_cache_flush(&unit->tlb[stage], &key);
	walk_cache_flush(&unit->paging[stage], &key);
}

/* Section 4.4.1: with a granule it is a range, of which the level may be told */
static void flush_addresses(struct smmu_unit *unit, const u64 *cmd, enum smmu_stage stage, u32 asid)
{
	struct walk_key key = { WALK_ANY, asid, FIELD_GET(CMDQ_TLBI_0_VMID, cmd[0]), cmd[1] & CMDQ_TLBI_1_VA_MASK,
				ilog2(SZ_4K) };
	unsigned int granule = FIELD_GET(CMDQ_TLBI_1_TG, cmd[1]), ttl = FIELD_GET(CMDQ_TLBI_1_TTL, cmd[1]);
	unsigned int scale = FIELD_GET(CMDQ_TLBI_0_SCALE, cmd[0]), num = FIELD_GET(CMDQ_TLBI_0_NUM, cmd[0]), i;
	u8 order = 0;

	if (!unit->model->ranges && (granule || ttl || scale || num)) {
		smmu_unit_misuse(unit, "TLBI of a range");
		return;
	}
	if (granule > 1 || (granule && !scale && !num && !ttl) || (!granule && (ttl || scale || num)))
		smmu_unit_misuse(unit, "TLBI with fields that are reserved together");
	if (ttl)
		order = ilog2(SZ_4K) + (3 - ttl) * 9;
	key.order += scale;
	for (i = 0; i <= num; i++) {
		walk_cache_flush_sized(&unit->tlb[stage], &key, order);
		if (!(cmd[1] & CMDQ_TLBI_1_LEAF))
			walk_cache_flush(&unit->paging[stage], &key);
		key.iova += BIT_ULL(key.order);
	}
}

/* Without a PASID it is about what was asked for without one */
static void flush_atc(struct smmu_unit *unit, const u64 *cmd)
{
	u32 size = FIELD_GET(CMDQ_ATC_1_SIZE, cmd[1]);
	struct walk_key key = { FIELD_GET(CMDQ_ATC_0_SID, cmd[0]), 0, WALK_ANY, 0, 64 };

	if (!unit->model->ats || !(unit->cr0 & CR0_SMMUEN)) {
		smmu_unit_misuse(unit, "CMD_ATC_INV without ATS");
		return;
	}
	if (cmd[0] & CMDQ_0_SSV)
		key.pasid = cmd[0] & CMDQ_ATC_0_GLOBAL ? WALK_ANY : FIELD_GET(CMDQ_ATC_0_SSID, cmd[0]);
	if (size < ATC_INV_SIZE_ALL) {
		key.order = ilog2(SZ_4K) + size;
		key.iova = cmd[1] & CMDQ_ATC_1_ADDR_MASK;
		if (key.iova & (BIT_ULL(key.order) - 1))
			smmu_unit_misuse(unit, "address of a CMD_ATC_INV");
	}
	walk_cache_flush(&unit->atc, &key);
}

static void execute(struct smmu_unit *unit, const u64 *cmd)
{
	u32 vmid = FIELD_GET(CMDQ_TLBI_0_VMID, cmd[0]), asid = FIELD_GET(CMDQ_TLBI_0_ASID, cmd[0]);

	switch (FIELD_GET(CMDQ_0_OP, cmd[0])) {
	case CMDQ_OP_PREFETCH_CFG:
		return;
	case CMDQ_OP_CFGI_STE:
		return flush_stes(unit, cmd);
	case CMDQ_OP_CFGI_ALL:
		return flush_configuration(unit, cmd);
	case CMDQ_OP_CFGI_CD:
		return flush_cd(unit, cmd);
	case CMDQ_OP_CFGI_CD_ALL:
		return flush_cds(unit, cmd);
	case OP_TLBI_NH_ALL:
		return flush_tlb(unit, SMMU_S1, vmid, WALK_ANY);
	case CMDQ_OP_TLBI_NH_ASID:
		return flush_tlb(unit, SMMU_S1, vmid, asid);
	case CMDQ_OP_TLBI_NH_VA:
		return flush_addresses(unit, cmd, SMMU_S1, asid);
	case OP_TLBI_NH_VAA:
		return flush_addresses(unit, cmd, SMMU_S1, WALK_ANY);
	case CMDQ_OP_TLBI_S12_VMALL:
		flush_tlb(unit, SMMU_S1, vmid, WALK_ANY);
		return flush_tlb(unit, SMMU_S2, vmid, WALK_ANY);
	case CMDQ_OP_TLBI_S2_IPA:
		return flush_addresses(unit, cmd, SMMU_S2, WALK_ANY);
	case CMDQ_OP_TLBI_NSNH_ALL:
		flush_tlb(unit, SMMU_S1, WALK_ANY, WALK_ANY);
		return flush_tlb(unit, SMMU_S2, WALK_ANY, WALK_ANY);
	case CMDQ_OP_ATC_INV:
		return flush_atc(unit, cmd);
	}
	smmu_unit_misuse(unit, "unknown command");
}

static void execute_pending(struct smmu_unit *unit)
{
	unsigned int i;

	for (i = 0; i < unit->nr_pending; i++)
		execute(unit, unit->pending[i]);
	unit->nr_pending = 0;
}

static void take_command(struct smmu_unit *unit, const u64 *cmd)
{
	if (FIELD_GET(CMDQ_0_OP, cmd[0]) == CMDQ_OP_CMD_SYNC || unit->nr_pending == SMMU_PENDING)
		execute_pending(unit);
	if (FIELD_GET(CMDQ_0_OP, cmd[0]) == CMDQ_OP_CMD_SYNC)
		return;
	if (walk_sometimes(&unit->unit))
		execute(unit, cmd);
	else
		memcpy(unit->pending[unit->nr_pending++], cmd, sizeof(unit->pending[0]));
}

static void take_commands(struct smmu_unit *unit)
{
	u32 prod = readl(unit->regs + ARM_SMMU_CMDQ_PROD); /* the commands were written before it */
	u64 base = readq(unit->regs + ARM_SMMU_CMDQ_BASE);
	u32 bits = FIELD_GET(Q_BASE_LOG2SIZE, base);
	u64 *queue = phys_to_virt(base & Q_BASE_ADDR_MASK);

	while (unit->cons != prod) {
		take_command(unit, &queue[(unit->cons & (BIT(bits) - 1)) * CMDQ_ENT_DWORDS]);
		unit->cons = (unit->cons + 1) & (BIT(bits + 1) - 1);
		/* After all that a CMD_SYNC waits for */
		writel(unit->cons, unit->regs + ARM_SMMU_CMDQ_CONS);
	}
}

static void obey(struct smmu_unit *unit, u32 cr0)
{
	if (cr0 & ~unit->cr0 & CR0_CMDQEN)
		unit->cons = readl(unit->regs + ARM_SMMU_CMDQ_CONS);
	if (cr0 & ~unit->cr0 & CR0_SMMUEN) {
		unit->strtab = readq(unit->regs + ARM_SMMU_STRTAB_BASE) & STRTAB_BASE_ADDR_MASK;
		unit->strtab_cfg = readl(unit->regs + ARM_SMMU_STRTAB_BASE_CFG);
	}
	unit->cr0 = cr0;
	/* The driver goes on when it sees this */
	writel(cr0, unit->regs + ARM_SMMU_CR0ACK);
}

static void smmu_service(struct walk_unit *walk_unit)
{
	struct smmu_unit *unit = container_of(walk_unit, struct smmu_unit, unit);
	u32 cr0 = readl(unit->regs + ARM_SMMU_CR0);
	u32 irq_ctrl = readl(unit->regs + ARM_SMMU_IRQ_CTRL);
	u32 gbpa = readl(unit->regs + ARM_SMMU_GBPA);

	if (cr0 != unit->cr0)
		obey(unit, cr0);
	if (irq_ctrl != unit->irq_ctrl) {
		unit->irq_ctrl = irq_ctrl;
		writel(irq_ctrl, unit->regs + ARM_SMMU_IRQ_CTRLACK);
	}
	if (gbpa & GBPA_UPDATE)
		writel(gbpa & ~GBPA_UPDATE, unit->regs + ARM_SMMU_GBPA);
	if (cr0 & CR0_CMDQEN)
		take_commands(unit);
}

static u32 smmu_tag(struct walk_unit *walk_unit, struct iommu_domain *domain)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain(domain);

	if (smmu_domain->stage == ARM_SMMU_DOMAIN_S1)
		return smmu_domain->s1_cfg.cd.asid;
	return smmu_domain->s2_cfg.vmid;
}

static const struct walk_unit_ops smmu_unit_ops = {
	.service	= smmu_service,
	.walk		= smmu_walk,
	.tag		= smmu_tag,
};

static void write_id_registers(struct smmu_unit *unit)
{
	const struct smmu_model *model = unit->model;

	writel(FIELD_PREP(IDR0_ST_LVL, IDR0_ST_LVL_2LVL) | FIELD_PREP(IDR0_STALL_MODEL, 1) |
	       FIELD_PREP(IDR0_TTENDIAN, IDR0_TTENDIAN_LE) | (model->two_levels ? IDR0_CD2L : 0) | IDR0_VMID16 |
	       IDR0_ASID16 | (model->ats ? IDR0_ATS : 0) | IDR0_COHACC | FIELD_PREP(IDR0_TTF, IDR0_TTF_AARCH64) |
	       model->stages, unit->regs + ARM_SMMU_IDR0);
	writel(FIELD_PREP(IDR1_CMDQS, QUEUE_BITS) | FIELD_PREP(IDR1_EVTQS, QUEUE_BITS) |
	       FIELD_PREP(IDR1_SSIDSIZE, model->ssid_bits) | FIELD_PREP(IDR1_SIDSIZE, SID_BITS),
	       unit->regs + ARM_SMMU_IDR1);
	writel(model->ranges ? IDR3_RIL : 0, unit->regs + ARM_SMMU_IDR3);
	writel(IDR5_GRAN4K | FIELD_PREP(IDR5_OAS, IDR5_OAS_48_BIT), unit->regs + ARM_SMMU_IDR5);
}

/**
 * smmu_unit_init() - Make a unit that nobody knows of yet
 * @unit: the unit, zeroed
 * @model: what it can do
 * @pci: segment that will be behind it
 *
 * Return: 0; -ENXIO without a place for registers; or -ENOMEM.
 */
int smmu_unit_init(struct smmu_unit *unit, const struct smmu_model *model, struct soft_pci *pci)
{
	static __be32 one_cell = cpu_to_be32(1);
	static const char compatible[] = "arm,smmu-v3";

	unit->unit.ops = &smmu_unit_ops;
	unit->model = model;
	unit->pci = pci;
	if (!registers)
		return -ENXIO;
	unit->regs = ioremap(registers, REGISTERS);
	if (!unit->regs)
		return -ENOMEM;
	memset_io(unit->regs, 0, REGISTERS);
	write_id_registers(unit);

	unit->properties[0] = (struct property){ .name = "compatible", .value = (void *)compatible,
						 .length = sizeof(compatible), .next = &unit->properties[1] };
	unit->properties[1] = (struct property){ .name = "#iommu-cells", .value = &one_cell,
						 .length = sizeof(one_cell), .next = &unit->properties[2] };
	unit->properties[2] = (struct property){ .name = "dma-coherent" };
	unit->node = (struct device_node){ .name = "smmu-unit", .full_name = "smmu-unit",
					   .properties = &unit->properties[0] };
	of_node_init(&unit->node);
	return 0;
}

/**
 * smmu_unit_start() - Let the driver find a unit
 * @unit: unit, of which the walking thread has begun
 *
 * Return: 0, or -errno; smmu_unit_stop() is due either way.
 */
int smmu_unit_start(struct smmu_unit *unit)
{
	struct resource resource = DEFINE_RES_MEM(registers, REGISTERS);
	int rc;

	unit->pdev = platform_device_alloc("smmu-unit", PLATFORM_DEVID_NONE);
	if (!unit->pdev)
		return -ENOMEM;
	rc = platform_device_add_resources(unit->pdev, &resource, 1);
	if (!rc)
		rc = platform_device_add(unit->pdev);
	if (rc) {
		platform_device_put(unit->pdev);
		unit->pdev = NULL;
		return rc;
	}
	/* Not before it is added: the node is no part of a device tree that sysfs could link to */
	unit->pdev->dev.of_node = of_node_get(&unit->node);
	return device_attach(&unit->pdev->dev) == 1 ? 0 : -ENODEV;
}

static int add_stream(struct pci_dev *pdev, u16 alias, void *data)
{
	u32 id = alias;

	return iommu_fwspec_add_ids(&pdev->dev, &id, 1);
}

/**
 * smmu_unit_found() - A device is behind the unit
 * @unit: the unit
 * @pdev: the device, which the IOMMU core has not seen yet; when this fails, it is not behind any IOMMU
 */
void smmu_unit_found(struct smmu_unit *unit, struct pci_dev *pdev)
{
	struct fwnode_handle *fwnode = of_fwnode_handle(&unit->node);

	if (iommu_fwspec_init(&pdev->dev, fwnode, iommu_ops_from_fwnode(fwnode)) ||
	    pci_for_each_dma_alias(pdev, add_stream, NULL))
		return;
	if (unit->model->ats)
		dev_iommu_fwspec_get(&pdev->dev)->flags |= IOMMU_FWSPEC_PCI_RC_ATS;
}

/**
 * smmu_unit_stop() - Take a unit away from the driver
 * @unit: the unit, behind which there are no devices; its walking thread still runs
 */
void smmu_unit_stop(struct smmu_unit *unit)
{
	if (unit->pdev)
		platform_device_unregister(unit->pdev);
	unit->pdev = NULL;
}

/**
 * smmu_unit_free() - Free the registers
 * @unit: unit of which the walking thread has ended
 */
void smmu_unit_free(struct smmu_unit *unit)
{
	if (unit->regs)
		iounmap(unit->regs);
}
