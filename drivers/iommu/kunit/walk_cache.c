// SPDX-License-Identifier: GPL-2.0-only
/*
 * walk_cache - what hardware may remember: everything that it ever read, until a flush covers it
 *
 * Which lines stay and which are overwritten is random. Only the walking thread comes here, so there are no locks.
 */
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
 * walk_cache_flush() - Forget what a flush covers, and nothing else
 * @cache: the cache
 * @key: tags, each may be WALK_ANY; everything that touches the range of addresses
 */
void walk_cache_flush(struct walk_cache *cache, const struct walk_key *key)
{
	int i;

	for (i = 0; i < WALK_LINES; i++) {
		if (cache->lines[i].valid && touches(&cache->lines[i].key, key))
			cache->lines[i].valid = false;
	}
}
