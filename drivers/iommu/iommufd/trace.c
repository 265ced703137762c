// SPDX-License-Identifier: GPL-2.0-only
/*
 * trace - the tracepoints of the subsystem; see trace.h
 */
#define CREATE_TRACE_POINTS
#include "trace.h"

/**
 * trace_begin_move() - When an attach begins, or a replace: which of them it is turns out later
 *
 * Return: the time, for trace_move(); 0 while nobody listens to either.
 */
u64 trace_begin_move(void)
{
	return trace_begin(iommufd_attach) ?: trace_begin(iommufd_replace);
}

/**
 * trace_move() - Tell of an attach, or of a replace
 * @context: serial number
 * @device: its id
 * @group: number of its group, -1 without an IOMMU
 * @pasid: PASID, 0 for the requests without one
 * @from: where it came from, which makes it a replace; 0 if it had no place or stays where it is
 * @to: id of a page table, or of an IOAS for a device that has none
 * @result: 0 or -errno
 * @begin: trace_begin_move()
 */
void trace_move(u64 context, u32 device, int group, u32 pasid, u32 from, u32 to, int result, u64 begin)
{
	if (from)
		trace_iommufd_replace(context, device, group, pasid, from, to, result, begin);
	else
		trace_iommufd_attach(context, device, group, pasid, from, to, result, begin);
}
