// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_run - memory of a process, pinned for as long as a device may use it, by folios and not by pages
 *
 * The pages are those that pin_user_pages() with FOLL_LONGTERM would give, and the pins are its pins. What is mapped
 * already is taken by a walk of the page tables without locks, for which an entry of any size is one step, and
 * entries of one large folio that follow each other are one pin. Whatever the walk does not like is left to
 * pin_user_pages(), a few pages at a time: afterwards the rest of the folio is mostly to its liking.
 *
 * Rules, and how they are kept:
 *
 * - An entry is looked at again after the pin. Who changes an entry looks for pins after the change: one of the two
 *   sees the other. A table that was taken off its parent meanwhile (collapse) discards what was pinned through it.
 * - Tables and folios cannot go away under the walk, because interrupts are off: tables are freed only after every CPU
 *   has answered an interrupt or passed a quiescent state. A folio may split or be freed and used again before it is
 *   pinned, but not after: whether it still is the one that was looked up is asked after the pin.
 * - fork() write protects while the walk runs: all that the walk took is given back (mm->write_protect_seq).
 * - Anonymous memory must be exclusive, or the device would go on with a page that the process leaves at the next
 *   write. A writable entry says so; for others PageAnonExclusive does, and pin_user_pages() unshares first.
 * - CMA, ZONE_MOVABLE and device-coherent memory must stay movable: pin_user_pages() moves the page elsewhere first.
 *   Asked once for a pageblock, also of a folio that has several.
 * - Memory that a device writes to needs an entry that may be written to; that also leaves out what userfaultfd or
 *   soft-dirty write protects, and files that want to know of the first write. Those that are mapped straight from a
 *   device (pte_devmap) are left out altogether: pin_user_pages() refuses file systems there, and allows the others.
 * - Memory that a device only reads is pinned the way a writer would where it is a private mapping: read_flags() says
 *   why.
 * - Special entries (zero page, page frames without struct page), NUMA hints, migration entries, pages that are swapped
 *   out or were never there, secret memory, another process's memory: pin_user_pages().
 * - A single page counts 1024 for a pin, a large folio 1 for each page, a gigantic one too: when the count is half of
 *   what it can be there are no more.
 *
 * Locking: takes mmap_lock for reading, which the caller must not hold.
 */
#include <linux/export.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_run.h>
#include <linux/pin_run.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/secretmem.h>
#include <linux/vmstat.h>

#include "internal.h"

/* Table entries after which a walk lets interrupts in; one table is walked to its end */
#define WALK_ENTRIES 512

/* Pages that pin_user_pages() is asked for at a time */
#define SLOW_BATCH 32

/* No page frame, and no pageblock, begins here */
#define NO_PFN ULONG_MAX

/**
 * struct pin_tally - Pages by node, on the way to the statistics
 * @item: counter that they are for
 * @pgdat: node, NULL before the first page
 * @npages: how many are not in the statistics yet
 */
struct pin_tally {
	enum node_stat_item item;
	struct pglist_data *pgdat;
	unsigned long npages;
};

/**
 * struct pin_walk - What has been pinned, and where to go on
 * @mm: whose memory
 * @uaddr: where to go on
 * @end: where this stretch stops, exclusive
 * @runs: the runs, in the order of addresses
 * @num: how many there are
 * @max: how many there may be
 * @next: page frame that would make the last run longer; NO_PFN if there is none
 * @tally: pins for the statistics
 * @entries: entries of tables that this stretch has seen
 * @block: first page frame of the pageblock whose pages may be pinned
 * @zone_id: zone of its pages
 * @block_page: its first page
 * @writable: entries must be writable
 * @stale: a table was taken off its parent, what was pinned through it is worth nothing
 * @full: a folio has as many pins as it can count
 */
struct pin_walk {
	struct mm_struct *mm;
	unsigned long uaddr;
	unsigned long end;
	struct page_run *runs;
	unsigned int num;
	unsigned int max;
	unsigned long next;
	struct pin_tally tally;
	unsigned int entries;
	unsigned long block;
	int zone_id;
	struct page *block_page;
	bool writable;
	bool stale;
	bool full;
};

static void flush_tally(struct pin_tally *tally)
{
	if (tally->npages)
		mod_node_page_state(tally->pgdat, tally->item, tally->npages);
	tally->npages = 0;
}

/* What is counted next is of the node of @page */
static __always_inline void tally_node(struct pin_tally *tally, struct page *page)
{
	struct pglist_data *pgdat = page_pgdat(page);

	if (unlikely(pgdat != tally->pgdat)) {
		flush_tally(tally);
		tally->pgdat = pgdat;
	}
}

static __always_inline bool has_room(struct pin_walk *w, unsigned long pfn)
{
	return pfn == w->next || w->num < w->max;
}

static __always_inline void add_to_runs(struct pin_walk *w, unsigned long pfn, unsigned long npages)
{
	if (pfn == w->next)
		w->runs[w->num - 1].npages += npages;
	else
		w->runs[w->num++] = (struct page_run){ pfn, npages };
	w->next = pfn + npages;
}

static __always_inline bool too_many_pins(struct folio *folio)
{
	return (unsigned int)folio_ref_count(folio) > INT_MAX / 2;
}

/* Pages of a large folio from @page on */
static unsigned long pages_behind(struct folio *folio, struct page *page)
{
	return folio_nr_pages(folio) - folio_page_idx(folio, page);
}

/* @npages of a folio that is not @large is 1 */
static __always_inline void put_pins(struct folio *folio, unsigned long npages, bool large)
{
	int refs = large ? npages : GUP_PIN_COUNTING_BIAS;

	if (large)
		atomic_sub(npages, folio_pincount_ptr(folio));
	if (!put_devmap_managed_page_refs(&folio->page, refs))
		folio_put_refs(folio, refs);
}

static void mark_dirty(struct folio *folio)
{
	folio_lock(folio);
	folio_mark_dirty(folio);
	folio_unlock(folio);
}

static void unpin_run(struct pin_tally *tally, unsigned long pfn, unsigned long npages, bool dirty)
{
	unsigned long end = pfn + npages;
	unsigned long n, linear_end;
	struct folio *folio;
	struct page *page;
	bool large;

	while (pfn < end) {
		/* Without a virtual map, struct pages are an array only within a block of the largest order */
		linear_end = min(end, round_up(pfn + 1, MAX_ORDER_NR_PAGES));
		page = pfn_to_page(pfn);
		for (; pfn < linear_end; pfn += n, page += n) {
			folio = page_folio(page);
			large = folio_test_large(folio);
			n = large ? min(end - pfn, pages_behind(folio, page)) : 1;
			if (!large && is_zero_pfn(pfn))
				continue;
			/* Read without the lock: whoever cleans it now writes it back after this */
			if (dirty && !folio_test_dirty(folio))
				mark_dirty(folio);
			tally_node(tally, page);
			tally->npages += n;
			put_pins(folio, n, large);
		}
		cond_resched();
	}
}

/**
 * unpin_runs() - Undo pin_user_runs() or pin_file_runs()
 * @runs: physically contiguous pages, each pinned; runs may be parts of those that were pinned, or joined from them
 * @num: how many runs
 * @dirty: a device may have written to them
 *
 * May sleep for the lock of a folio that has to be made dirty.
 */
void unpin_runs(const struct page_run *runs, unsigned int num, bool dirty)
{
	struct pin_tally tally = { .item = NR_FOLL_PIN_RELEASED };
	unsigned int i;

	for (i = 0; i < num; i++)
		unpin_run(&tally, runs[i].pfn, runs[i].npages, dirty);
	flush_tally(&tally);
}
EXPORT_SYMBOL_GPL(unpin_runs);

#if defined(CONFIG_HAVE_FAST_GUP) && defined(CONFIG_ARCH_HAS_PTE_SPECIAL) && !defined(CONFIG_ARCH_HAS_HUGEPD)
#ifndef gup_fast_permitted
#define gup_fast_permitted(start, end) true
#endif

static noinline bool change_block(struct pin_walk *w, unsigned long pfn)
{
	unsigned long first = round_down(pfn, pageblock_nr_pages);
	struct page *page = pfn_to_page(pfn);

	if (!is_longterm_pinnable_page(page))
		return false;
	tally_node(&w->tally, page);
	w->block = first;
	w->block_page = page - (pfn - first);
	w->zone_id = page_zone_id(page);
	return true;
}

/* Go to the pageblock of a page frame; false if its pages may not be pinned for long */
static __always_inline bool enter_block(struct pin_walk *w, unsigned long pfn)
{
	unsigned long offset = pfn - w->block;

	if (likely(offset < pageblock_nr_pages && page_zone_id(w->block_page + offset) == w->zone_id))
		return true;
	return change_block(w, pfn);
}

static noinline void unpin_folio(struct pin_walk *w, struct folio *folio, unsigned long npages, bool large)
{
	w->tally.npages -= npages;
	put_pins(folio, npages, large);
}

/*
 * Pin pages of the folio that @page belongs to, all of them in it; NULL if it changes meanwhile or has too many pins.
 * Of a folio that is not @large, @page must be all there is.
 */
static __always_inline struct folio *pin_folio(struct pin_walk *w, struct page *page, unsigned long npages, bool large)
{
	struct folio *folio = large ? page_folio(page) : (struct folio *)page;
	int refs = large ? npages : GUP_PIN_COUNTING_BIAS;

	if (unlikely(too_many_pins(folio))) {
		w->full = true;
		return NULL;
	}
	if (!folio_ref_try_add_rcu(folio, refs))
		return NULL;
	/* With a reference it neither splits nor ends: is it still what it was? */
	if (unlikely(large ? page_folio(page) != folio || !folio_test_large(folio) : PageCompound(page))) {
		if (!put_devmap_managed_page_refs(&folio->page, refs))
			folio_put_refs(folio, refs);
		return NULL;
	}
	if (large)
		atomic_add(npages, folio_pincount_ptr(folio));
	/* The pin is seen before the entry is read again; pairs with the barrier in page_try_share_anon_rmap() */
	smp_mb__after_atomic();
	w->tally.npages += npages;
	return folio;
}

static __always_inline void keep_pages(struct pin_walk *w, struct folio *folio, unsigned long pfn, unsigned long npages)
{
	if (!folio_test_referenced(folio))
		folio_set_referenced(folio);
	add_to_runs(w, pfn, npages);
}

static unsigned long pages_in_entry(struct pin_walk *w, unsigned long size)
{
	return (min(w->end, round_up(w->uaddr + 1, size)) - w->uaddr) >> PAGE_SHIFT;
}

/* Pin @npages of a leaf of @size bytes that begins at @leaf; NULL if they are not to be had without help */
static struct folio *pin_leaf(struct pin_walk *w, struct page *leaf, unsigned long size, unsigned long npages,
			      unsigned long *pfn)
{
	struct folio *folio;

	*pfn = page_to_pfn(leaf) + ((w->uaddr & (size - 1)) >> PAGE_SHIFT);
	if (!has_room(w, *pfn) || is_huge_zero_page(leaf) || !enter_block(w, *pfn))
		return NULL;
	folio = pin_folio(w, pfn_to_page(*pfn), npages, true);
	if (folio)
		w->entries++;
	return folio;
}

static unsigned long pin_pud(struct pin_walk *w, pud_t *pudp, pud_t pud)
{
	unsigned long npages = pages_in_entry(w, PUD_SIZE);
	struct folio *folio;
	unsigned long pfn;

	if (!pud_access_permitted(pud, w->writable) || pud_devmap(pud))
		return 0;
	folio = pin_leaf(w, pud_page(pud), PUD_SIZE, npages, &pfn);
	if (!folio)
		return 0;
	if (pud_val(pud) != pud_val(READ_ONCE(*pudp)) ||
	    (!pud_write(pud) && gup_must_unshare(FOLL_PIN, &folio->page))) {
		unpin_folio(w, folio, npages, true);
		return 0;
	}
	keep_pages(w, folio, pfn, npages);
	return npages;
}

static unsigned long pin_pmd(struct pin_walk *w, pmd_t *pmdp, pmd_t pmd)
{
	unsigned long npages = pages_in_entry(w, PMD_SIZE);
	struct folio *folio;
	unsigned long pfn;

	if (!pmd_access_permitted(pmd, w->writable) || pmd_devmap(pmd) || pmd_protnone(pmd))
		return 0;
	folio = pin_leaf(w, pmd_page(pmd), PMD_SIZE, npages, &pfn);
	if (!folio)
		return 0;
	if (pmd_val(pmd) != pmd_val(READ_ONCE(*pmdp)) ||
	    (!pmd_write(pmd) && gup_must_unshare(FOLL_PIN, &folio->page))) {
		unpin_folio(w, folio, npages, true);
		return 0;
	}
	keep_pages(w, folio, pfn, npages);
	return npages;
}

static __always_inline bool pte_is_plain(struct pin_walk *w, pte_t pte)
{
	return pte_access_permitted(pte, w->writable) && !pte_protnone(pte) && !pte_special(pte) && !pte_devmap(pte);
}

static __always_inline bool pte_needs_unshare(struct pin_walk *w, pte_t pte, struct page *page)
{
	return !w->writable && !pte_write(pte) && gup_must_unshare(FOLL_PIN, page);
}

static __always_inline bool pte_is_still(struct pin_walk *w, pte_t pte, pte_t *ptep, struct page *page)
{
	return pte_val(pte) == pte_val(READ_ONCE(*ptep)) && !pte_needs_unshare(w, pte, page);
}

/*
 * @page of @folio, which is large, is pinned: take what the entries behind the one at @ptep map of the same folio too.
 * They are read while the folio has a pin, so they need no second look. Returns how many pages are pinned now.
 */
static unsigned long pin_along(struct pin_walk *w, struct folio *folio, struct page *page, unsigned long pfn,
			       pte_t *ptep, unsigned long npages)
{
	unsigned long n;
	pte_t pte;

	npages = min(npages, pages_behind(folio, page));
	for (n = 1; n < npages; n++) {
		pte = ptep_get_lockless(ptep + n);
		if (!pte_is_plain(w, pte) || pte_pfn(pte) != pfn + n)
			break;
		if (!w->writable && pte_needs_unshare(w, pte, nth_page(page, n)))
			break;
	}
	folio_ref_add(folio, n - 1);
	atomic_add(n - 1, folio_pincount_ptr(folio));
	w->tally.npages += n - 1;
	return n;
}

/* The same as pin_entry() for an entry that was found to map @page, a part of a large folio */
static noinline unsigned long pin_part(struct pin_walk *w, struct page *page, pte_t pte, pte_t *ptep, unsigned long max)
{
	struct folio *folio = pin_folio(w, page, 1, true);
	unsigned long pfn = pte_pfn(pte);
	unsigned long npages;

	if (!folio)
		return 0;
	if (!pte_is_still(w, pte, ptep, page)) {
		unpin_folio(w, folio, 1, true);
		return 0;
	}
	npages = pin_along(w, folio, page, pfn, ptep, max);
	keep_pages(w, folio, pfn, npages);
	return npages;
}

/* Pin the page that an entry maps, and what follows of a large folio, at most @max; returns how many pages */
static __always_inline unsigned long pin_entry(struct pin_walk *w, pte_t *ptep, unsigned long max)
{
	pte_t pte = ptep_get_lockless(ptep);
	struct folio *folio;
	struct page *page;
	unsigned long pfn;

	if (!pte_is_plain(w, pte))
		return 0;
	pfn = pte_pfn(pte);
	if (!has_room(w, pfn) || !enter_block(w, pfn))
		return 0;
	page = w->block_page + (pfn - w->block);
	if (PageCompound(page))
		return pin_part(w, page, pte, ptep, max);
	folio = pin_folio(w, page, 1, false);
	if (!folio)
		return 0;
	if (unlikely(!pte_is_still(w, pte, ptep, page) || (!folio_test_anon(folio) && page_is_secretmem(page)))) {
		unpin_folio(w, folio, 1, false);
		return 0;
	}
	keep_pages(w, folio, pfn, 1);
	return 1;
}

static noinline unsigned long pin_table(struct pin_walk *w, pmd_t *pmdp, pmd_t pmd)
{
	unsigned long max = pages_in_entry(w, PMD_SIZE);
	unsigned long n, done;
	pte_t *ptep;

	ptep = pte_offset_map(&pmd, w->uaddr);
	for (done = 0; done < max; done += n) {
		n = pin_entry(w, ptep + done, max - done);
		if (!n)
			break;
	}
	pte_unmap(ptep);
	w->entries += done;
	if (pmd_val(pmd) != pmd_val(READ_ONCE(*pmdp)))
		w->stale = true;
	return done;
}

/* Pin what one entry maps, or one table of the lowest level; returns how many pages */
static unsigned long pin_step(struct pin_walk *w)
{
	unsigned long uaddr = w->uaddr;
	pgd_t *pgdp, pgd;
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;

	pgdp = pgd_offset(w->mm, uaddr);
	pgd = READ_ONCE(*pgdp);
	if (pgd_none(pgd) || pgd_huge(pgd))
		return 0;
	p4dp = p4d_offset_lockless(pgdp, pgd, uaddr);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d))
		return 0;
	pudp = pud_offset_lockless(p4dp, p4d, uaddr);
	pud = READ_ONCE(*pudp);
	if (!pud_present(pud))
		return 0;
	if (pud_huge(pud) || pud_devmap(pud))
		return pin_pud(w, pudp, pud);
	pmdp = pmd_offset_lockless(pudp, pud, uaddr);
	pmd = READ_ONCE(*pmdp);
	if (!pmd_present(pmd))
		return 0;
	if (pmd_trans_huge(pmd) || pmd_huge(pmd) || pmd_devmap(pmd))
		return pin_pmd(w, pmdp, pmd);
	return pin_table(w, pmdp, pmd);
}

/* Unpin what was pinned since @from was a copy of @w */
static void undo_walk(struct pin_walk *w, const struct pin_walk *from)
{
	struct page_run more;

	if (from->num && w->runs[from->num - 1].pfn + w->runs[from->num - 1].npages != from->next) {
		more.pfn = from->next;
		more.npages = w->runs[from->num - 1].pfn + w->runs[from->num - 1].npages - from->next;
		w->runs[from->num - 1].npages -= more.npages;
		unpin_runs(&more, 1, false);
	}
	unpin_runs(w->runs + from->num, w->num - from->num, false);
	w->num = from->num;
	w->next = from->next;
	w->uaddr = from->uaddr;
}

/* Pin what is mapped from w->uaddr on, as far as that goes in one stretch without interrupts; false if nothing was */
static bool pin_mapped(struct pin_walk *w)
{
	unsigned long length = w->end - w->uaddr;
	unsigned long n = 1, irq_flags;
	struct pin_walk from = *w;
	unsigned int seq;

	if (w->mm != current->mm || !gup_fast_permitted(w->uaddr, w->end) ||
	    !access_ok((void __user *)w->uaddr, length))
		return false;
	seq = raw_read_seqcount(&w->mm->write_protect_seq);
	if (seq & 1)
		return false;

	w->stale = false;
	w->entries = 0;
	local_irq_save(irq_flags);
	while (n && w->uaddr < w->end && w->entries < WALK_ENTRIES) {
		n = pin_step(w);
		w->uaddr += n << PAGE_SHIFT;
	}
	local_irq_restore(irq_flags);

	if (w->stale || read_seqcount_retry(&w->mm->write_protect_seq, seq))
		undo_walk(w, &from);
	return w->uaddr != from.uaddr;
}
#else
static bool pin_mapped(struct pin_walk *w)
{
	return false;
}
#endif

/* Let pin_user_pages() do it, which faults in and moves what it has to; mmap_lock is held */
static int pin_unmapped(struct pin_walk *w, unsigned int gup_flags)
{
	struct page *pages[SLOW_BATCH];
	unsigned long npages;
	long i, n;

	npages = min3((w->end - w->uaddr) >> PAGE_SHIFT, (unsigned long)w->max - w->num, SLOW_BATCH * 1UL);
	if (w->mm == current->mm)
		n = pin_user_pages(w->uaddr, npages, gup_flags | FOLL_LONGTERM, pages, NULL);
	else
		n = pin_user_pages_remote(w->mm, w->uaddr, npages, gup_flags | FOLL_LONGTERM, pages, NULL, NULL);
	if (n <= 0)
		return n ? n : -EFAULT;

	for (i = 0; i < n && !too_many_pins(page_folio(pages[i])); i++)
		add_to_runs(w, page_to_pfn(pages[i]), 1);
	w->uaddr += i << PAGE_SHIFT;
	if (i == n)
		return 0;
	unpin_user_pages(pages + i, n - i);
	return -ENOMEM;
}

/*
 * Flags for memory that a device only reads, up to w->end, which moves to where they hold. A private mapping is
 * pinned the way a writer would, so that it gets its own copy now: Linux 6.1 does that by itself for anonymous memory
 * only, and with a plain pin of a private file page or of the zero page the device would go on reading the old page
 * after the process wrote to it. A shared mapping has no copy that could part from the original.
 */
static unsigned int read_flags(struct pin_walk *w, struct vm_area_struct *vma)
{
	w->end = min(w->end, vma->vm_end);
	if (!is_cow_mapping(vma->vm_flags))
		return 0;
	if (vma->vm_flags & VM_WRITE)
		return FOLL_WRITE;
	/* 6.1 refuses to force huge pages: one that its process may not write to is pinned as it is */
	return is_vm_hugetlb_page(vma) ? 0 : FOLL_WRITE | FOLL_FORCE;
}

/* Some pages for a device that only reads; mmap_lock is held */
static int pin_for_reading(struct pin_walk *w)
{
	struct vm_area_struct *vma = vma_lookup(w->mm, w->uaddr);
	unsigned int gup_flags;

	/* Forced writing passes over missing rights to read as well: memory nobody may read is left to be refused */
	if (!vma || !(vma->vm_flags & VM_READ))
		return pin_unmapped(w, 0);
	gup_flags = read_flags(w, vma);
	w->writable = gup_flags & FOLL_WRITE;
	return pin_mapped(w) ? 0 : pin_unmapped(w, gup_flags);
}

static int pin_with_lock(struct pin_walk *w, bool writable)
{
	int rc;

	if (mmap_read_lock_killable(w->mm))
		return -EINTR;
	rc = writable ? pin_unmapped(w, FOLL_WRITE) : pin_for_reading(w);
	mmap_read_unlock(w->mm);
	return rc;
}

static int pin_range(struct pin_walk *w, unsigned long end, bool writable)
{
	int rc;

	for (;;) {
		if (fatal_signal_pending(current))
			return -EINTR;
		w->end = end;
		w->writable = writable;
		if (!writable || !pin_mapped(w)) {
			if (w->full)
				return -ENOMEM;
			if (w->num == w->max)
				return 0;
			rc = pin_with_lock(w, writable);
			if (rc)
				return rc;
		}
		if (w->uaddr == end)
			return 0;
		cond_resched();
	}
}

/**
 * pin_user_runs() - Pin memory of a process for as long as a device may use it
 * @mm: whose memory; the caller has a reference on the structure at least (mmgrab())
 * @uaddr: user address of the first page, page aligned
 * @npages: how many pages, above 0
 * @gup_flags: FOLL_WRITE if the device may write to them, otherwise 0; FOLL_LONGTERM is implied
 * @runs: out: the pages, in the order of addresses; neighbours that are physically contiguous are one run
 * @max: how many runs there is room for, above 0
 * @num: out: how many runs were written, also after an error (0 then)
 *
 * unpin_runs() gives them back. Takes mmap_lock of @mm for reading and sleeps.
 *
 * Return: how many pages were pinned, at least 1 and perhaps fewer than asked for, or -errno with none pinned:
 * -EFAULT (nothing that may be used that way is mapped at @uaddr, or the process is gone), -EINTR (the caller is
 * being killed), -ENOMEM (no memory, a page that cannot be moved where pins are allowed, or one with too many pins),
 * -EHWPOISON, or what else pin_user_pages() has to say.
 */
long pin_user_runs(struct mm_struct *mm, unsigned long uaddr, unsigned long npages, unsigned int gup_flags,
		   struct page_run *runs, unsigned int max, unsigned int *num)
{
	struct pin_walk w = {
		.mm = mm,
		.uaddr = untagged_addr(uaddr),
		.runs = runs,
		.max = max,
		.next = NO_PFN,
		.tally.item = NR_FOLL_PIN_ACQUIRED,
		.block = NO_PFN,
	};
	unsigned long first = w.uaddr;
	unsigned long end;
	int rc;

	*num = 0;
	might_lock_read(&mm->mmap_lock);
	if (check_add_overflow(first, npages << PAGE_SHIFT, &end))
		return -EFAULT;
	if (mm != current->mm && !mmget_not_zero(mm))
		return -EFAULT;
	/* fork() has to know before the first pin */
	if (!test_bit(MMF_HAS_PINNED, &mm->flags))
		set_bit(MMF_HAS_PINNED, &mm->flags);

	rc = pin_range(&w, end, gup_flags & FOLL_WRITE);

	flush_tally(&w.tally);
	/* If this was the last user of the mm, its teardown need not run under the locks that the caller holds */
	if (mm != current->mm)
		mmput_async(mm);
	*num = w.num;
	return w.num ? (w.uaddr - first) >> PAGE_SHIFT : rc;
}
EXPORT_SYMBOL_GPL(pin_user_runs);
