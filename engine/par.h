/* SPDX-License-Identifier: Apache-2.0
 * Parallel loops. The only file pair with OpenMP. Owns: the number of threads.
 * Invariant: what an item's result is depends on the shape alone; how rows are cut into items may depend on
 * the number of threads only where a row has the same bits in any company; bodies cannot fail, log or
 * allocate. */
#ifndef ADA_ENGINE_PAR_H
#define ADA_ENGINE_PAR_H

#include "io/status.h"

/* min(affinity, cgroup quota, OMP_NUM_THREADS, wanted); wanted 0 = no wish. Called once, before any loop;
 * later calls change the number (tests do). Returns the number in force. */
int ada_par_set(int wanted);
int ada_par_threads(void); /* the number in force; sets it by the rule if nobody has */
/* As ada_par_set, but never more than the number in force: scratch may have been laid out for that. */
int ada_par_wish(int wanted);
/* Exactly n, whatever the machine says: the tests of same bits need more than it has. */
int ada_par_force(int n);
/* Runs body(ctx, i, worker) for i in [0, n); worker in [0, threads) names a thread's own scratch.
 * Each worker has a share of the items, then takes from others'. n == 1 or one thread runs inline; so does a
 * loop that a body runs, as that body's worker. */
typedef void (*ada_par_fn)(void *ctx, size_t i, int worker);
void ada_par_for(size_t n, ada_par_fn body, void *ctx);
/* 1 + worker in a body that others may run beside, else 0. */
int ada_par_inside(void);

#endif
