// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of pin_source: files, and copies. Memory of a process is pinned in the suite of pinned.
 */
#include <kunit/test.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/page_run.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>

#include "../pin_source.h"
#include "user_mm.h"

#define FILE_PAGES	40UL		/* more than a copy takes in one go */
#define FILE_BYTES	(FILE_PAGES * PAGE_SIZE)
#define FIRST		3UL		/* page of the file at which sources begin */

static struct file *file_new(struct kunit *test)
{
	struct file *file = shmem_file_setup("iommufd_kunit", FILE_BYTES, VM_NORESERVE);

	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	return file;
}

static unsigned int pins(struct page *page)
{
	return page_count(page) / GUP_PIN_COUNTING_BIAS;
}

/* Bytes that differ from page to page and within one */
static u8 byte_at(size_t i)
{
	return i * 7 + (i >> PAGE_SHIFT) * 13;
}

static u8 *buffer_new(struct kunit *test, bool filled)
{
	u8 *buf = kunit_kzalloc(test, FILE_BYTES, GFP_KERNEL);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; filled && i < FILE_BYTES; i++)
		buf[i] = byte_at(i);
	return buf;
}

static void expect_bytes(struct kunit *test, const u8 *buf, size_t length, size_t first)
{
	size_t i, wrong = 0;

	for (i = 0; i < length; i++)
		wrong += buf[i] != byte_at(first + i);
	KUNIT_EXPECT_EQ(test, wrong, (size_t)0);
}

/* PFN of the nth page */
static unsigned long nth_pfn(const struct page_run *runs, unsigned int num, unsigned long n)
{
	for (; num && n >= runs->npages; runs++, num--)
		n -= runs->npages;
	return num ? runs->pfn + n : 0;
}

static void pages_of_a_file_are_those_in_its_cache(struct kunit *test)
{
	struct file *file = file_new(test);
	struct pin_source source;
	struct page_run runs[4];
	struct page *page;
	unsigned int num;
	long i;

	KUNIT_ASSERT_EQ(test, pin_source_open_file(&source, file, FIRST, FILE_PAGES - FIRST, true), 0);
	KUNIT_ASSERT_EQ(test, pin_source_pin(&source, 2, 4, runs, 4, &num), 4L);
	for (i = 0; i < 4; i++) {
		unsigned long pfn = nth_pfn(runs, num, i);

		page = shmem_read_mapping_page(file->f_mapping, FIRST + 2 + i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(page));
		KUNIT_EXPECT_EQ(test, page_to_pfn(page), pfn);
		KUNIT_EXPECT_EQ(test, pins(page), 1U);
		pin_source_unpin(&source, &(struct page_run){ pfn, 1 }, 1);
		KUNIT_EXPECT_EQ(test, pins(page), 0U);
		/* a device may have written to it */
		KUNIT_EXPECT_TRUE(test, PageDirty(page));
		put_page(page);
	}
	pin_source_close(&source);
	fput(file);
}

static void file_that_ends_is_einval(struct kunit *test)
{
	struct file *file = file_new(test);
	struct pin_source source;
	struct page_run runs[4];
	unsigned int num;

	KUNIT_ASSERT_EQ(test, pin_source_open_file(&source, file, FIRST, FILE_PAGES, true), 0);
	/* as far as it goes, then nothing */
	KUNIT_ASSERT_EQ(test, pin_source_pin(&source, FILE_PAGES - FIRST - 2, 4, runs, 4, &num), 2L);
	pin_source_unpin(&source, runs, num);
	KUNIT_EXPECT_EQ(test, pin_source_pin(&source, FILE_PAGES - FIRST, 4, runs, 4, &num), (long)-EINVAL);
	KUNIT_EXPECT_EQ(test, num, 0U);
	pin_source_close(&source);
	fput(file);
}

static void rights_are_those_of_the_file(struct kunit *test)
{
	struct file *file = file_new(test);
	struct pin_source source;

	file->f_mode &= ~FMODE_WRITE;
	KUNIT_EXPECT_EQ(test, pin_source_open_file(&source, file, 0, 1, true), -EPERM);
	KUNIT_EXPECT_EQ(test, pin_source_open_file(&source, file, 0, 1, false), 0);
	pin_source_close(&source);
	file->f_mode &= ~FMODE_READ;
	KUNIT_EXPECT_EQ(test, pin_source_open_file(&source, file, 0, 1, false), -EPERM);
	file->f_mode |= FMODE_READ | FMODE_WRITE;
	/* refusing leaves the file as it was: it can be sealed, and mapped writable, and not both */
	KUNIT_EXPECT_EQ(test, file_count(file), 1L);
	KUNIT_EXPECT_EQ(test, mapping_deny_writable(file->f_mapping), 0);
	KUNIT_EXPECT_EQ(test, pin_source_open_file(&source, file, 0, 1, true), -EPERM);
	mapping_allow_writable(file->f_mapping);
	KUNIT_ASSERT_EQ(test, pin_source_open_file(&source, file, 0, 1, true), 0);
	KUNIT_EXPECT_EQ(test, mapping_deny_writable(file->f_mapping), -EBUSY);
	pin_source_close(&source);
	KUNIT_EXPECT_EQ(test, mapping_deny_writable(file->f_mapping), 0);
	mapping_allow_writable(file->f_mapping);
	fput(file);
}

/* Writes all but the ends, reads it back in another way */
static void copy_there_and_back(struct kunit *test, struct pin_source *source, bool remote)
{
	u8 *from = buffer_new(test, true);
	u8 *to = buffer_new(test, false);
	size_t length = source->npages * PAGE_SIZE - 300;

	KUNIT_EXPECT_EQ(test, pin_source_copy(source, 100, from + 100, length, true, remote), 0);
	KUNIT_EXPECT_EQ(test, pin_source_copy(source, 100, to, length, false, remote), 0);
	expect_bytes(test, to, length, 100);
	/* around the edge of a page, and single bytes beside it */
	KUNIT_EXPECT_EQ(test, pin_source_copy(source, 2 * PAGE_SIZE - 7, to, 20, false, !remote), 0);
	expect_bytes(test, to, 20, 2 * PAGE_SIZE - 7);
	KUNIT_EXPECT_EQ(test, pin_source_copy(source, PAGE_SIZE - 1, to, 1, false, remote), 0);
	expect_bytes(test, to, 1, PAGE_SIZE - 1);
	KUNIT_EXPECT_EQ(test, pin_source_copy(source, PAGE_SIZE, to, 1, false, remote), 0);
	expect_bytes(test, to, 1, PAGE_SIZE);
	/* what was not written is blank */
	KUNIT_EXPECT_EQ(test, pin_source_copy(source, 0, to, 101, false, remote), 0);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(to, 0, 100), NULL);
	expect_bytes(test, to + 100, 1, 100);
}

static void copies_of_a_file(struct kunit *test)
{
	struct file *file = file_new(test);
	u8 *buf = buffer_new(test, false);
	struct pin_source source;
	loff_t pos = FIRST * PAGE_SIZE + 100;

	KUNIT_ASSERT_EQ(test, pin_source_open_file(&source, file, FIRST, FILE_PAGES - FIRST, true), 0);
	copy_there_and_back(test, &source, false);
	KUNIT_EXPECT_EQ(test, kernel_read(file, buf, 1000, &pos), (ssize_t)1000);
	expect_bytes(test, buf, 1000, 100);
	pos = (FILE_PAGES - FIRST) * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, pin_source_copy(&source, pos, buf, 1, false, false), -EINVAL);
	pin_source_close(&source);
	fput(file);
}

static void copies_of_the_callers_memory(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct pin_source source;

	pin_source_open_user(&source, current->mm, user_mm_map(test, FILE_PAGES, true), FILE_PAGES, true);
	copy_there_and_back(test, &source, false);
	pin_source_close(&source);
	user_mm_leave(mm);
}

static void copies_the_long_way(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct pin_source source;

	pin_source_open_user(&source, current->mm, user_mm_map(test, FILE_PAGES, true), FILE_PAGES, true);
	copy_there_and_back(test, &source, true);
	pin_source_close(&source);
	user_mm_leave(mm);
}

static void copy_of_another_process_until_it_is_gone(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct pin_source source;
	u8 byte = 0;

	pin_source_open_user(&source, current->mm, user_mm_map(test, FILE_PAGES, true), FILE_PAGES, true);
	kthread_unuse_mm(mm);
	copy_there_and_back(test, &source, false);
	mmput(mm);
	KUNIT_EXPECT_EQ(test, pin_source_copy(&source, 0, &byte, 1, false, false), -EFAULT);
	pin_source_close(&source);
}

static void copy_of_memory_that_is_not_there(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	unsigned long uaddr = user_mm_map(test, 4, true);
	u8 *buf = buffer_new(test, true);
	struct pin_source source;

	pin_source_open_user(&source, current->mm, uaddr, 4, true);
	KUNIT_ASSERT_EQ(test, vm_munmap(uaddr + 2 * PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, pin_source_copy(&source, PAGE_SIZE, buf, 2 * PAGE_SIZE, true, false), -EFAULT);
	KUNIT_EXPECT_EQ(test, pin_source_copy(&source, PAGE_SIZE, buf, 2 * PAGE_SIZE, true, true), -EFAULT);
	KUNIT_EXPECT_EQ(test, pin_source_copy(&source, PAGE_SIZE, buf, 2 * PAGE_SIZE, false, true), -EFAULT);
	KUNIT_EXPECT_EQ(test, pin_source_copy(&source, 3 * PAGE_SIZE, buf, PAGE_SIZE, true, true), 0);
	pin_source_close(&source);
	user_mm_leave(mm);
}

static struct kunit_case pin_source_cases[] = {
	KUNIT_CASE(pages_of_a_file_are_those_in_its_cache),
	KUNIT_CASE(file_that_ends_is_einval),
	KUNIT_CASE(rights_are_those_of_the_file),
	KUNIT_CASE(copies_of_a_file),
	KUNIT_CASE(copies_of_the_callers_memory),
	KUNIT_CASE(copies_the_long_way),
	KUNIT_CASE(copy_of_another_process_until_it_is_gone),
	KUNIT_CASE(copy_of_memory_that_is_not_there),
	{}
};

static struct kunit_suite pin_source_suite = {
	.name = "pin_source",
	.test_cases = pin_source_cases,
};

kunit_test_suite(pin_source_suite);
