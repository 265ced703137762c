// SPDX-License-Identifier: GPL-2.0-only
/*
 * walk_cache - what hardware may remember: everything that it ever read, until a flush covers it
 *
 * Which lines stay and which are overwritten is random. Only the walking thread comes here, so there are no locks.
 */
#include <linux/io.h>
#include <linux/mm.h>

#include "walk.h"

static u64 last(const struct walk_key *key)
{
	return key->order >= 64 ? U64_MAX : key->iova + (BIT_ULL(key->order) - 1);
}

static bool covers(u32 one, u32 other)
{
	return one == WALK_ANY || other == WALK_ANY || one == other;
}

static bool touches(const struct walk_key *one, const struct walk_key *other)
{
	return covers(one->source, other->source) && covers(one->pasid, other->pasid) &&
	       covers(one->domain, other->domain) && one->iova <= last(other) && other->iova <= last(one);
}

/**
 * walk_cache_find() - Look something up
 * @cache: the cache
 * @key: tags, each may be WALK_ANY, and an address
 *
 * Return: a line, or NULL.
 */
struct walk_line *walk_cache_find(struct walk_cache *cache, const struct walk_key *key)
{
	int i;

	for (i = 0; i < WALK_LINES; i++) {
		if (cache->lines[i].valid && touches(&cache->lines[i].key, key))
			return &cache->lines[i];
	}
	return NULL;
}

/**
 * walk_cache_insert() - Remember something, and forget something else for it
 * @cache: the cache
 * @key: its tags
 * @rnd: source of randomness
 *
 * Return: the line, to be filled in.
 */
struct walk_line *walk_cache_insert(struct walk_cache *cache, const struct walk_key *key, struct rnd_state *rnd)
{
	struct walk_line *line = &cache->lines[prandom_u32_state(rnd) % WALK_LINES];

	line->valid = true;
	line->key = *key;
	return line;
}

/**
 * walk_cache_flush_sized() - Forget what a flush covers if it is of one size, and nothing else
 * @cache: the cache
 * @key: tags, each may be WALK_ANY; everything that touches the range of addresses
 * @order: log2 of the size of what a line translates; 0: any
 */
void walk_cache_flush_sized(struct walk_cache *cache, const struct walk_key *key, u8 order)
{
	int i;

	for (i = 0; i < WALK_LINES; i++) {
		struct walk_line *line = &cache->lines[i];

		if (line->valid && touches(&line->key, key) && (!order || line->key.order == order))
			line->valid = false;
	}
}

/**
 * walk_cache_flush() - Forget what a flush covers, and nothing else
 * @cache: the cache
 * @key: tags, each may be WALK_ANY; everything that touches the range of addresses
 */
void walk_cache_flush(struct walk_cache *cache, const struct walk_key *key)
{
	walk_cache_flush_sized(cache, key, 0);
}

/**
 * walk_remember() - Keep a translation
 * @cache: the cache
 * @key: its tags, and the addresses that it translates
 * @result: the translation of the first of them
 * @rnd: source of randomness
 */
void walk_remember(struct walk_cache *cache, const struct walk_key *key, const struct walk_result *result,
		   struct rnd_state *rnd)
{
	struct walk_line *line = walk_cache_insert(cache, key, rnd);

	line->data[0] = result->phys;
	line->data[1] = result->writable;
}

/**
 * walk_recall() - Translate by what was kept
 * @cache: the cache
 * @key: tags, and an address
 * @result: the translation
 *
 * Return: whether there was one.
 */
bool walk_recall(struct walk_cache *cache, const struct walk_key *key, struct walk_result *result)
{
	struct walk_line *line = walk_cache_find(cache, key);

	if (!line)
		return false;
	result->end = WALK_TRANSLATED;
	result->phys = line->data[0] + (key->iova - line->key.iova);
	result->writable = line->data[1];
	result->cached = true;
	return true;
}

/**
 * walk_sometimes() - What hardware may do or not
 * @unit: the hardware
 */
bool walk_sometimes(struct walk_unit *unit)
{
	return prandom_u32_state(&unit->rnd) & BIT(16);
}

/**
 * walk_dawdle() - Time passes between two reads of hardware
 * @unit: the hardware
 */
void walk_dawdle(struct walk_unit *unit)
{
	unsigned int i = prandom_u32_state(&unit->rnd);

	for (i = i & BIT(20) ? i >> 8 & 63 : 0; i; i--)
		barrier();
}

/**
 * walk_ends() - No translation
 * @result: where it is noted
 * @end: how
 * @why: what was wrong, with WALK_BROKEN
 *
 * Return: false.
 */
bool walk_ends(struct walk_result *result, enum walk_end end, const char *why)
{
	result->end = end;
	result->why = why;
	return false;
}

/**
 * walk_memory() - Where a table is
 * @phys: what an entry says
 *
 * Return: NULL if that is no memory.
 */
void *walk_memory(u64 phys)
{
	return pfn_valid(PHYS_PFN(phys)) ? phys_to_virt(phys) : NULL;
}
