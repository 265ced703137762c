/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_DOMAIN_H
#define __IOMMUFD_IOAS_DOMAIN_H

#include <linux/list.h>

struct ioas_area;
struct ioas_map;
struct iommu_domain;

/**
 * struct ioas_domain - A domain that holds a copy of every area, embedded in a page table object
 * @entry: in ioas_map->domains
 * @domain: the domain
 */
struct ioas_domain {
	struct list_head entry;
	struct iommu_domain *domain;
};

int ioas_domain_fill(struct ioas_map *map, struct ioas_domain *dom, struct ioas_area *area);
int ioas_map_realign(struct ioas_map *map);
int ioas_map_add_domain(struct ioas_map *map, struct ioas_domain *dom);
void ioas_map_remove_domain(struct ioas_map *map, struct ioas_domain *dom);
int ioas_map_set_huge_pages(struct ioas_map *map, bool huge_pages);

#endif
