/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mock_space - an address space with any number of mock page tables that follow it
 *
 * Page tables of the mock IOMMU can be asked what they hold, so a test says "this memory is mapped there" once and
 * means every page table. Without one there is nothing to ask and nothing is pinned.
 */
#ifndef SELFTESTS_IOMMU_MOCK_SPACE_H
#define SELFTESTS_IOMMU_MOCK_SPACE_H

#include "iommufd_test_client.h"

#define SPACE_TABLES	4

/**
 * struct mock_space - One IOAS and the mock devices on it, each on a page table of its own
 * @fd: context
 * @ioas: its id
 * @tables: how many of @dev there are
 * @dev: the devices; the page table of the first one was made by attaching, the others by HWPT_ALLOC
 */
struct mock_space {
	int fd;
	uint32_t ioas;
	unsigned int tables;
	struct mock_device dev[SPACE_TABLES];
};

static inline int mock_space_add_table(struct mock_space *s)
{
	uint32_t pt = s->ioas;
	int rc = 0;

	if (s->tables)
		rc = hwpt_alloc(s->fd, s->dev[0].id, s->ioas, 0, &pt);
	rc = rc ?: mock_device_create(s->fd, pt, &s->dev[s->tables]);
	if (!rc)
		s->tables++;
	return rc;
}

/* Takes away the table that came last, and its device. */
static inline int mock_space_drop_table(struct mock_space *s)
{
	struct mock_device *dev = &s->dev[--s->tables];
	int rc = iommu_destroy(s->fd, dev->stdev);

	/* the one that attaching made has gone with its device */
	return rc ?: s->tables ? iommu_destroy(s->fd, dev->hwpt) : 0;
}

static inline int mock_space_make(struct mock_space *s, int fd, unsigned int tables)
{
	int rc;

	*s = (struct mock_space){ .fd = fd };
	rc = ioas_alloc(fd, &s->ioas);
	while (!rc && s->tables < tables)
		rc = mock_space_add_table(s);
	return rc;
}

/* Every page table leads to the memory at @va. All in multiples of MOCK_PAGE. */
static inline bool mock_space_maps(const struct mock_space *s, uint64_t iova, uint64_t length, const void *va)
{
	for (unsigned int i = 0; i < s->tables; i++)
		if (mock_check_map(s->fd, s->dev[i].hwpt, iova, length, va))
			return false;
	return true;
}

/* No page table leads anywhere, or at least not to the memory at @va. */
static inline bool mock_space_maps_nothing(const struct mock_space *s, uint64_t iova, uint64_t length, const void *va)
{
	for (unsigned int i = 0; i < s->tables; i++)
		for (uint64_t done = 0; done < length; done += MOCK_PAGE)
			if (mock_check_map(s->fd, s->dev[i].hwpt, iova + done, MOCK_PAGE,
					   (const uint8_t *)va + done) != -EINVAL)
				return false;
	return true;
}

#endif
