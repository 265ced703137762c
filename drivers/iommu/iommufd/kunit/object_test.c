// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of object: ids, what is found when, and who destroys. Where a call must wait, a thread makes it while the
 * case holds the object busy.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../object.h"
#include "scale.h"

#define MAX_THINGS 8
#define SOON (10 * HZ)		/* what a call may take when nothing holds it up */
#define A_WHILE 20		/* ms in which a call that does not wait would have returned */

/**
 * struct fixture - A table and what was destroyed in it
 * @objs: the table
 * @order: ids, in the order of destruction
 * @destroyed: how many
 */
struct fixture {
	struct iommufd_objects objs;
	u32 order[MAX_THINGS];
	unsigned int destroyed;
};

struct thing {
	struct iommufd_object obj;
	struct fixture *f;
	struct thing *uses[2];
};

static void thing_destroy(struct iommufd_object *obj)
{
	struct thing *thing = container_of(obj, struct thing, obj);
	struct fixture *f = thing->f;
	int i;

	if (f->destroyed < MAX_THINGS)
		f->order[f->destroyed] = obj->id;
	f->destroyed++;
	for (i = 0; i < ARRAY_SIZE(thing->uses); i++)
		if (thing->uses[i])
			iommufd_object_unlink(&f->objs, &thing->uses[i]->obj);
}

static const struct iommufd_object_ops thing_ops = { .destroy = thing_destroy, .user_destroy = true };
static const struct iommufd_object_ops kernel_thing_ops = { .destroy = thing_destroy };

static int object_test_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	iommufd_objects_init(&f->objs);
	test->priv = f;
	return 0;
}

/* Ids that a case left reserved keep nodes of the table */
static void object_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (f)
		xa_destroy(&f->objs.table);
}

static struct thing *reserve(struct kunit *test, const struct iommufd_object_ops *ops)
{
	struct thing *thing = kunit_kzalloc(test, sizeof(*thing), GFP_KERNEL);
	struct fixture *f = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, thing);
	thing->f = f;
	KUNIT_ASSERT_EQ(test, iommufd_object_reserve(&f->objs, &thing->obj, ops), 0);
	return thing;
}

static struct thing *publish(struct kunit *test, const struct iommufd_object_ops *ops)
{
	struct thing *thing = reserve(test, ops);
	struct fixture *f = test->priv;

	iommufd_object_publish(&f->objs, &thing->obj);
	return thing;
}

static void use(struct thing *user, int i, struct thing *used)
{
	user->uses[i] = used;
	iommufd_object_link(&used->f->objs, &used->obj);
}

static void expect_found(struct kunit *test, struct thing *thing)
{
	struct fixture *f = test->priv;
	struct iommufd_object *obj = iommufd_object_get(&f->objs, thing->obj.id, thing->obj.ops);

	KUNIT_EXPECT_PTR_EQ(test, obj, &thing->obj);
	if (!IS_ERR(obj))
		iommufd_object_put(&f->objs, obj);
}

/* No object of this kind, NULL for any kind, has this id */
static void expect_no_id(struct kunit *test, u32 id, const struct iommufd_object_ops *ops)
{
	struct fixture *f = test->priv;
	struct iommufd_object *obj = iommufd_object_get(&f->objs, id, ops);

	KUNIT_EXPECT_PTR_EQ(test, obj, ERR_PTR(-ENOENT));
	if (!IS_ERR(obj))
		iommufd_object_put(&f->objs, obj);
	else if (!ops)
		KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, id), -ENOENT);
}

static void expect_not_found(struct kunit *test, struct thing *thing)
{
	struct fixture *f = test->priv;
	bool live = iommufd_object_tryget(&f->objs, &thing->obj);

	KUNIT_EXPECT_FALSE(test, live);
	if (live)
		iommufd_object_put(&f->objs, &thing->obj);
	expect_no_id(test, thing->obj.id, NULL);
}

static void hold(struct kunit *test, struct thing *thing)
{
	struct fixture *f = test->priv;

	KUNIT_ASSERT_TRUE(test, iommufd_object_tryget(&f->objs, &thing->obj));
}

static void finish(struct kunit *test, unsigned int destroyed)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, f->destroyed, destroyed);
	KUNIT_EXPECT_TRUE(test, iommufd_objects_empty(&f->objs));
}

/* A call that is expected to wait, made by a thread */

enum waiting_call { CALL_DESTROY, CALL_RETIRE, CALL_REMOVE };

struct waiter {
	struct thing *thing;
	enum waiting_call call;
	int rc;
	struct completion done;
};

static int waiter_thread(void *data)
{
	struct waiter *w = data;
	struct iommufd_objects *objs = &w->thing->f->objs;

	switch (w->call) {
	case CALL_DESTROY:
		w->rc = iommufd_object_destroy(objs, w->thing->obj.id);
		break;
	case CALL_RETIRE:
		iommufd_object_retire(objs, &w->thing->obj);
		break;
	case CALL_REMOVE:
		iommufd_object_remove(objs, &w->thing->obj);
		break;
	}
	complete_all(&w->done);
	return 0;
}

static struct waiter *start_waiting(struct kunit *test, struct thing *thing, enum waiting_call call)
{
	struct waiter *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	unsigned long deadline = jiffies + SOON;

	KUNIT_ASSERT_NOT_NULL(test, w);
	w->thing = thing;
	w->call = call;
	init_completion(&w->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(waiter_thread, w, "iommufd-kunit")));
	while (!wq_has_sleeper(&thing->f->objs.idle) && !completion_done(&w->done) && time_before(jiffies, deadline))
		usleep_range(1000, 2000);
	KUNIT_EXPECT_TRUE(test, wq_has_sleeper(&thing->f->objs.idle));
	return w;
}

static void expect_still_waiting(struct kunit *test, struct waiter *w)
{
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&w->done, msecs_to_jiffies(A_WHILE)));
}

static void expect_returns(struct kunit *test, struct waiter *w)
{
	unsigned long left = wait_for_completion_timeout(&w->done, SOON);

	KUNIT_EXPECT_TRUE_MSG(test, left, "nobody woke the call that waits");
	if (!left) {
		/* It uses memory of this case */
		wake_up_all(&w->thing->f->objs.idle);
		wait_for_completion(&w->done);
	}
}

static void ids_start_at_1(struct kunit *test)
{
	struct thing *first = publish(test, &thing_ops);
	struct thing *second = publish(test, &kernel_thing_ops);
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, first->obj.id, 1U);
	KUNIT_EXPECT_EQ(test, second->obj.id, 2U);
	expect_no_id(test, 0, NULL);
	expect_no_id(test, 3, NULL);
	expect_no_id(test, U32_MAX, NULL);
	iommufd_objects_destroy(&f->objs);
	finish(test, 2);
}

static void reserved_object_is_not_found(struct kunit *test)
{
	struct thing *thing = reserve(test, &thing_ops);
	struct fixture *f = test->priv;

	KUNIT_EXPECT_FALSE(test, iommufd_objects_empty(&f->objs));
	expect_not_found(test, thing);
	KUNIT_EXPECT_NE(test, reserve(test, &thing_ops)->obj.id, thing->obj.id);
	iommufd_object_publish(&f->objs, &thing->obj);
	expect_found(test, thing);
}

static void cancelled_id_is_free_again(struct kunit *test)
{
	struct thing *thing = reserve(test, &thing_ops);
	struct fixture *f = test->priv;

	iommufd_object_cancel(&f->objs, &thing->obj);
	finish(test, 0);
	KUNIT_EXPECT_EQ(test, publish(test, &thing_ops)->obj.id, 1U);
}

static void object_is_found_by_id_and_kind(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;

	expect_found(test, thing);
	KUNIT_EXPECT_PTR_EQ(test, iommufd_object_get(&f->objs, 1, NULL), &thing->obj);
	KUNIT_EXPECT_EQ(test, thing->obj.busy, 1U);
	expect_no_id(test, 1, &kernel_thing_ops);
	KUNIT_EXPECT_EQ(test, thing->obj.busy, 1U);
	hold(test, thing);
	KUNIT_EXPECT_EQ(test, thing->obj.busy, 2U);
	iommufd_object_put(&f->objs, &thing->obj);
	iommufd_object_put(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, 1), 0);
	finish(test, 1);
}

static void destroyed_object_is_gone(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), 0);
	expect_not_found(test, thing);
	finish(test, 1);
}

static void only_its_owner_removes_a_kernel_object(struct kunit *test)
{
	struct thing *thing = publish(test, &kernel_thing_ops);
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), -EBUSY);
	expect_found(test, thing);
	KUNIT_EXPECT_EQ(test, f->destroyed, 0U);
	iommufd_object_remove(&f->objs, &thing->obj);
	finish(test, 1);
}

static void destroy_refused_while_linked(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;

	iommufd_object_link(&f->objs, &thing->obj);
	iommufd_object_link(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), -EBUSY);
	iommufd_object_unlink(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), -EBUSY);
	expect_found(test, thing);
	iommufd_object_unlink(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), 0);
	finish(test, 1);
}

static void destroy_refused_while_linked_and_busy_does_not_wait(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;

	hold(test, thing);
	iommufd_object_link(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), -EBUSY);
	expect_found(test, thing);
	iommufd_object_unlink(&f->objs, &thing->obj);
	iommufd_object_put(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), 0);
	finish(test, 1);
}

static void destroy_waits_for_every_holder(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;
	struct waiter *w;

	hold(test, thing);
	hold(test, thing);
	w = start_waiting(test, thing, CALL_DESTROY);
	expect_not_found(test, thing);
	KUNIT_EXPECT_FALSE(test, iommufd_objects_empty(&f->objs));
	iommufd_object_put(&f->objs, &thing->obj);
	expect_still_waiting(test, w);
	KUNIT_EXPECT_EQ(test, f->destroyed, 0U);
	iommufd_object_put(&f->objs, &thing->obj);
	expect_returns(test, w);
	KUNIT_EXPECT_EQ(test, w->rc, 0);
	finish(test, 1);
}

static void object_published_busy_is_found_and_stays(struct kunit *test)
{
	struct thing *thing = reserve(test, &thing_ops);
	struct fixture *f = test->priv;
	struct waiter *w;

	iommufd_object_publish_busy(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, thing->obj.busy, 1U);
	expect_found(test, thing);
	w = start_waiting(test, thing, CALL_DESTROY);
	expect_still_waiting(test, w);
	iommufd_object_put(&f->objs, &thing->obj);
	expect_returns(test, w);
	finish(test, 1);
}

static void killed_destroyer_leaves_the_object(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;
	int rc;

	hold(test, thing);
	/* Nobody sends signals to a kernel thread, so nobody else looks at them */
	sigaddset(&current->pending.signal, SIGKILL);
	set_thread_flag(TIF_SIGPENDING);
	rc = iommufd_object_destroy(&f->objs, thing->obj.id);
	sigdelset(&current->pending.signal, SIGKILL);
	clear_thread_flag(TIF_SIGPENDING);
	KUNIT_EXPECT_EQ(test, rc, -EINTR);
	KUNIT_EXPECT_EQ(test, f->destroyed, 0U);
	expect_found(test, thing);
	iommufd_object_put(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, thing->obj.id), 0);
	finish(test, 1);
}

static void destroy_waits_for_its_own_object_only(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct thing *other = publish(test, &thing_ops);
	struct fixture *f = test->priv;
	struct waiter *w;

	hold(test, thing);
	hold(test, other);
	w = start_waiting(test, thing, CALL_DESTROY);
	iommufd_object_put(&f->objs, &other->obj);
	expect_still_waiting(test, w);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, other->obj.id), 0);
	expect_still_waiting(test, w);
	iommufd_object_put(&f->objs, &thing->obj);
	expect_returns(test, w);
	finish(test, 2);
}

static void link_made_while_destroy_waits_brings_the_object_back(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;
	struct waiter *w;

	hold(test, thing);
	w = start_waiting(test, thing, CALL_DESTROY);
	iommufd_object_link(&f->objs, &thing->obj);
	iommufd_object_put(&f->objs, &thing->obj);
	expect_returns(test, w);
	KUNIT_EXPECT_EQ(test, w->rc, -EBUSY);
	KUNIT_EXPECT_EQ(test, f->destroyed, 0U);
	expect_found(test, thing);
	KUNIT_EXPECT_EQ(test, thing->obj.id, 1U);
	iommufd_object_unlink(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, iommufd_object_destroy(&f->objs, 1), 0);
	finish(test, 1);
}

static void retire_destroys_what_nothing_links(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;

	hold(test, thing);
	iommufd_object_retire(&f->objs, &thing->obj);
	finish(test, 1);
}

static void retire_keeps_what_is_linked(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;

	iommufd_object_link(&f->objs, &thing->obj);
	hold(test, thing);
	iommufd_object_retire(&f->objs, &thing->obj);
	KUNIT_EXPECT_EQ(test, f->destroyed, 0U);
	KUNIT_EXPECT_EQ(test, thing->obj.busy, 0U);
	expect_found(test, thing);
	iommufd_object_unlink(&f->objs, &thing->obj);
	hold(test, thing);
	iommufd_object_retire(&f->objs, &thing->obj);
	finish(test, 1);
}

static void two_retirers_destroy_once(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;
	struct waiter *w;

	hold(test, thing);
	hold(test, thing);
	w = start_waiting(test, thing, CALL_RETIRE);
	KUNIT_EXPECT_EQ(test, f->destroyed, 0U);
	iommufd_object_retire(&f->objs, &thing->obj);
	expect_returns(test, w);
	finish(test, 1);
}

static void retirer_lets_a_waiting_destroyer_go_on(struct kunit *test)
{
	struct thing *thing = publish(test, &thing_ops);
	struct fixture *f = test->priv;
	struct waiter *w;

	hold(test, thing);
	w = start_waiting(test, thing, CALL_DESTROY);
	iommufd_object_retire(&f->objs, &thing->obj);
	expect_returns(test, w);
	KUNIT_EXPECT_EQ(test, w->rc, 0);
	finish(test, 1);
}

static void remove_waits_while_busy(struct kunit *test)
{
	struct thing *thing = publish(test, &kernel_thing_ops);
	struct fixture *f = test->priv;
	struct waiter *w;

	hold(test, thing);
	w = start_waiting(test, thing, CALL_REMOVE);
	expect_still_waiting(test, w);
	iommufd_object_put(&f->objs, &thing->obj);
	expect_returns(test, w);
	finish(test, 1);
}

static void close_destroys_leaf_first(struct kunit *test)
{
	struct thing *root = publish(test, &thing_ops);
	struct thing *left = publish(test, &kernel_thing_ops);
	struct thing *right = publish(test, &thing_ops);
	struct thing *leaf = publish(test, &thing_ops);
	struct thing *alone = publish(test, &kernel_thing_ops);
	struct fixture *f = test->priv;
	unsigned int at[MAX_THINGS] = {};
	unsigned int i;

	use(left, 0, root);
	use(right, 0, root);
	use(leaf, 0, left);
	use(leaf, 1, right);
	iommufd_objects_destroy(&f->objs);
	finish(test, 5);
	for (i = 0; i < 5; i++)
		at[f->order[i]] = i + 1;
	KUNIT_EXPECT_LT(test, at[leaf->obj.id], at[left->obj.id]);
	KUNIT_EXPECT_LT(test, at[leaf->obj.id], at[right->obj.id]);
	KUNIT_EXPECT_LT(test, at[left->obj.id], at[root->obj.id]);
	KUNIT_EXPECT_LT(test, at[right->obj.id], at[root->obj.id]);
	KUNIT_EXPECT_NE(test, at[alone->obj.id], 0U);
}

static void close_of_an_empty_table(struct kunit *test)
{
	struct fixture *f = test->priv;

	finish(test, 0);
	iommufd_objects_destroy(&f->objs);
	finish(test, 0);
}

/* Many look up what one makes and destroys: a slip in who may still touch the memory shows under KASAN */

#define RACE_ROUNDS SCALED(20000)
#define RACE_IDS 4

struct race {
	struct iommufd_objects objs;
	struct completion reader_done;
	bool stop;
};

struct racer {
	struct iommufd_object obj;
	unsigned int stamp;
};

static void racer_destroy(struct iommufd_object *obj)
{
	kfree(container_of(obj, struct racer, obj));
}

static const struct iommufd_object_ops racer_ops = { .destroy = racer_destroy, .user_destroy = true };

static int race_reader(void *data)
{
	struct race *race = data;
	struct iommufd_object *obj;
	u32 id = 0;

	while (!READ_ONCE(race->stop)) {
		obj = iommufd_object_get(&race->objs, 1 + id++ % RACE_IDS, &racer_ops);
		if (!IS_ERR(obj)) {
			container_of(obj, struct racer, obj)->stamp++;
			iommufd_object_link(&race->objs, obj);
			cond_resched();
			iommufd_object_unlink(&race->objs, obj);
			iommufd_object_put(&race->objs, obj);
		}
		cond_resched();
	}
	complete(&race->reader_done);
	return 0;
}

static void lookups_race_with_destroy(struct kunit *test)
{
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	int readers, i, round, unexpected = 0;
	struct racer *racer;

	KUNIT_ASSERT_NOT_NULL(test, race);
	iommufd_objects_init(&race->objs);
	init_completion(&race->reader_done);
	for (readers = 0; readers < 2; readers++)
		if (IS_ERR(kthread_run(race_reader, race, "iommufd-kunit")))
			break;
	for (round = 0; round < RACE_ROUNDS; round++) {
		racer = kzalloc(sizeof(*racer), GFP_KERNEL);
		if (!racer)
			break;
		if (iommufd_object_reserve(&race->objs, &racer->obj, &racer_ops)) {
			kfree(racer);
			break;
		}
		iommufd_object_publish(&race->objs, &racer->obj);
		cond_resched();
		for (i = 1; i <= RACE_IDS; i++) {
			int rc = iommufd_object_destroy(&race->objs, i);

			if (rc && rc != -EBUSY && rc != -ENOENT)
				unexpected++;
		}
	}
	WRITE_ONCE(race->stop, true);
	for (i = 0; i < readers; i++)
		wait_for_completion(&race->reader_done);
	KUNIT_EXPECT_EQ(test, readers, 2);
	KUNIT_EXPECT_EQ(test, round, RACE_ROUNDS);
	KUNIT_EXPECT_EQ(test, unexpected, 0);
	iommufd_objects_destroy(&race->objs);
	KUNIT_EXPECT_TRUE(test, iommufd_objects_empty(&race->objs));
}

static void all_are_found_in_order_but_those_being_built(struct kunit *test)
{
	struct thing *a = publish(test, &thing_ops), *hole = reserve(test, &thing_ops);
	struct thing *b = publish(test, &kernel_thing_ops);
	struct fixture *f = test->priv;
	struct iommufd_object *obj;

	KUNIT_EXPECT_EQ(test, iommufd_objects_count(&f->objs), 2UL);
	obj = iommufd_object_next(&f->objs, 0);
	KUNIT_ASSERT_PTR_EQ(test, obj, &a->obj);
	KUNIT_EXPECT_EQ(test, obj->busy, 1U);
	iommufd_object_put(&f->objs, obj);
	obj = iommufd_object_next(&f->objs, hole->obj.id);
	KUNIT_ASSERT_PTR_EQ(test, obj, &b->obj);
	iommufd_object_put(&f->objs, obj);
	KUNIT_EXPECT_NULL(test, iommufd_object_next(&f->objs, b->obj.id + 1));
	KUNIT_EXPECT_NULL(test, iommufd_object_next(&f->objs, U32_MAX));
}

static struct kunit_case object_cases[] = {
	KUNIT_CASE(all_are_found_in_order_but_those_being_built),
	KUNIT_CASE(ids_start_at_1),
	KUNIT_CASE(reserved_object_is_not_found),
	KUNIT_CASE(cancelled_id_is_free_again),
	KUNIT_CASE(object_is_found_by_id_and_kind),
	KUNIT_CASE(destroyed_object_is_gone),
	KUNIT_CASE(only_its_owner_removes_a_kernel_object),
	KUNIT_CASE(destroy_refused_while_linked),
	KUNIT_CASE(destroy_refused_while_linked_and_busy_does_not_wait),
	KUNIT_CASE(destroy_waits_for_every_holder),
	KUNIT_CASE(object_published_busy_is_found_and_stays),
	KUNIT_CASE(killed_destroyer_leaves_the_object),
	KUNIT_CASE(destroy_waits_for_its_own_object_only),
	KUNIT_CASE(link_made_while_destroy_waits_brings_the_object_back),
	KUNIT_CASE(retire_destroys_what_nothing_links),
	KUNIT_CASE(retire_keeps_what_is_linked),
	KUNIT_CASE(two_retirers_destroy_once),
	KUNIT_CASE(retirer_lets_a_waiting_destroyer_go_on),
	KUNIT_CASE(remove_waits_while_busy),
	KUNIT_CASE(close_destroys_leaf_first),
	KUNIT_CASE(close_of_an_empty_table),
	KUNIT_CASE(lookups_race_with_destroy),
	{}
};

static struct kunit_suite object_suite = {
	.name = "object",
	.init = object_test_init,
	.exit = object_test_exit,
	.test_cases = object_cases,
};

kunit_test_suite(object_suite);
