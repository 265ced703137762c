/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace - what user space had done, with how long it took
 *
 * A room tells an event when the work is over: numbers that user space knows, the result, and the time at which the
 * work began, which it asked for by trace_begin(). While nobody listens that is no clock and no call.
 *
 * This file knows no room, so that every room may use it; and no event has an address of the kernel.
 *
 * All events of a context have its serial number in "context", which fdinfo shows as well. Where there is a "result"
 * it is 0 or an error number below 0. "ns" is a duration; 0 if nobody was listening when the work began.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommufd

#if !defined(__IOMMUFD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __IOMMUFD_TRACE_H

#include <linux/iommu.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <uapi/linux/iommufd.h>

u64 trace_begin_move(void);
void trace_move(u64 context, u32 device, int group, u32 pasid, u32 from, u32 to, int result, u64 begin);

/* When the work that @event is going to tell of begins; 0 while nobody listens to it */
#define trace_begin(event) (trace_##event##_enabled() ? ktime_get_ns() : 0)

/* How long ago trace_begin() was, ns; 0 if nobody listened then */
#define trace_since(begin) ((begin) ? ktime_get_ns() - (begin) : 0)

TRACE_EVENT(iommufd_map,
	    TP_PROTO(u64 context, u32 ioas, unsigned long iova, unsigned long last, u32 flags, int result, u64 begin),
	    TP_ARGS(context, ioas, iova, last, flags, result, begin),
	    TP_STRUCT__entry(__field(u64, context)
			     __field(u64, iova)
			     __field(u64, last)
			     __field(u64, ns)
			     __field(u32, ioas)
			     __field(int, result)
			     __field(bool, read)
			     __field(bool, write)),
	    TP_fast_assign(__entry->context = context;
			   __entry->iova = iova;
			   __entry->last = last;
			   __entry->ns = trace_since(begin);
			   __entry->ioas = ioas;
			   __entry->result = result;
			   __entry->read = flags & IOMMU_IOAS_MAP_READABLE;
			   __entry->write = flags & IOMMU_IOAS_MAP_WRITEABLE;),
	    TP_printk("context=%llu ioas=%u iova=0x%llx last=0x%llx prot=%s%s result=%d ns=%llu",
		      __entry->context, __entry->ioas, __entry->iova, __entry->last, __entry->read ? "r" : "",
		      __entry->write ? "w" : "", __entry->result, __entry->ns));

TRACE_EVENT(iommufd_unmap,
	    TP_PROTO(u64 context, u32 ioas, unsigned long iova, unsigned long last, u64 unmapped, int result,
		     u64 begin),
	    TP_ARGS(context, ioas, iova, last, unmapped, result, begin),
	    TP_STRUCT__entry(__field(u64, context)
			     __field(u64, iova)
			     __field(u64, last)
			     __field(u64, unmapped)
			     __field(u64, ns)
			     __field(u32, ioas)
			     __field(int, result)),
	    TP_fast_assign(__entry->context = context;
			   __entry->iova = iova;
			   __entry->last = last;
			   __entry->unmapped = unmapped;
			   __entry->ns = trace_since(begin);
			   __entry->ioas = ioas;
			   __entry->result = result;),
	    TP_printk("context=%llu ioas=%u iova=0x%llx last=0x%llx unmapped=%llu result=%d ns=%llu",
		      __entry->context, __entry->ioas, __entry->iova, __entry->last, __entry->unmapped, __entry->result,
		      __entry->ns));

/*
 * Pages that nobody had pinned before, or has pinned any more. They belong to no IOAS, as several may share them;
 * @start is where they begin, bytes: an address of the process that maps, or, with @file, an offset in what was mapped.
 */
DECLARE_EVENT_CLASS(iommufd_pages,
		    TP_PROTO(u64 context, bool file, unsigned long start, unsigned long pages, int result, u64 begin),
		    TP_ARGS(context, file, start, pages, result, begin),
		    TP_STRUCT__entry(__field(u64, context)
				     __field(u64, start)
				     __field(u64, pages)
				     __field(u64, ns)
				     __field(int, result)
				     __field(bool, file)),
		    TP_fast_assign(__entry->context = context;
				   __entry->start = start;
				   __entry->pages = pages;
				   __entry->ns = trace_since(begin);
				   __entry->result = result;
				   __entry->file = file;),
		    TP_printk("context=%llu source=%s start=0x%llx pages=%llu result=%d ns=%llu",
			      __entry->context, __entry->file ? "file" : "user", __entry->start, __entry->pages,
			      __entry->result, __entry->ns));

DEFINE_EVENT(iommufd_pages, iommufd_pin,
	     TP_PROTO(u64 context, bool file, unsigned long start, unsigned long pages, int result, u64 begin),
	     TP_ARGS(context, file, start, pages, result, begin));

DEFINE_EVENT(iommufd_pages, iommufd_unpin,
	     TP_PROTO(u64 context, bool file, unsigned long start, unsigned long pages, int result, u64 begin),
	     TP_ARGS(context, file, start, pages, result, begin));

/*
 * A device goes from one place to another. A place is a page table, or the IOAS for a device that has none; 0 where
 * there is none, also when it stayed where it was. @group is -1 for a device without an IOMMU, @pasid 0 without one.
 */
DECLARE_EVENT_CLASS(iommufd_place,
		    TP_PROTO(u64 context, u32 device, int group, u32 pasid, u32 from, u32 to, int result, u64 begin),
		    TP_ARGS(context, device, group, pasid, from, to, result, begin),
		    TP_STRUCT__entry(__field(u64, context)
				     __field(u64, ns)
				     __field(u32, device)
				     __field(int, group)
				     __field(u32, pasid)
				     __field(u32, from)
				     __field(u32, to)
				     __field(int, result)),
		    TP_fast_assign(__entry->context = context;
				   __entry->ns = trace_since(begin);
				   __entry->device = device;
				   __entry->group = group;
				   __entry->pasid = pasid;
				   __entry->from = from;
				   __entry->to = to;
				   __entry->result = result;),
		    TP_printk("context=%llu device=%u group=%d pasid=%u from=%u to=%u result=%d ns=%llu",
			      __entry->context, __entry->device, __entry->group, __entry->pasid, __entry->from,
			      __entry->to, __entry->result, __entry->ns));

DEFINE_EVENT(iommufd_place, iommufd_attach,
	     TP_PROTO(u64 context, u32 device, int group, u32 pasid, u32 from, u32 to, int result, u64 begin),
	     TP_ARGS(context, device, group, pasid, from, to, result, begin));

DEFINE_EVENT(iommufd_place, iommufd_replace,
	     TP_PROTO(u64 context, u32 device, int group, u32 pasid, u32 from, u32 to, int result, u64 begin),
	     TP_ARGS(context, device, group, pasid, from, to, result, begin));

DEFINE_EVENT(iommufd_place, iommufd_detach,
	     TP_PROTO(u64 context, u32 device, int group, u32 pasid, u32 from, u32 to, int result, u64 begin),
	     TP_ARGS(context, device, group, pasid, from, to, result, begin));

/*
 * A group of page requests has been answered, @ns after it came; with IOMMU_PAGE_RESP_FAILURE the queue was full or
 * closed and did not take it, and the device is told that it is invalid. @request is the first of @requests.
 */
TRACE_EVENT(iommufd_fault,
	    TP_PROTO(u64 context, u32 fault, u32 device, const struct iommu_fault_page_request *request,
		     unsigned int requests, enum iommu_page_response_code answer, u64 begin),
	    TP_ARGS(context, fault, device, request, requests, answer, begin),
	    TP_STRUCT__entry(__field(u64, context)
			     __field(u64, addr)
			     __field(u64, ns)
			     __field(u32, fault)
			     __field(u32, device)
			     __field(u32, pasid)
			     __field(u32, grpid)
			     __field(u32, requests)
			     __field(u32, answer)),
	    TP_fast_assign(__entry->context = context;
			   __entry->addr = request->addr;
			   __entry->ns = trace_since(begin);
			   __entry->fault = fault;
			   __entry->device = device;
			   __entry->pasid = request->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID ? request->pasid : 0;
			   __entry->grpid = request->grpid;
			   __entry->requests = requests;
			   __entry->answer = answer;),
	    TP_printk("context=%llu fault=%u device=%u pasid=%u grpid=%u addr=0x%llx requests=%u result=%s ns=%llu",
		      __entry->context, __entry->fault, __entry->device, __entry->pasid, __entry->grpid, __entry->addr,
		      __entry->requests, __print_symbolic(__entry->answer, { 0, "success" }, { 1, "invalid" },
							  { 2, "refused" }), __entry->ns));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
