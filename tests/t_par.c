/* SPDX-License-Identifier: Apache-2.0
 * The thread rule against made-up machines, and loops: each item once, workers within the team.
 * Files of /proc and /sys are served from a table through ada_os. */
#include "engine/par.h"
#include "io/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct fake {
    const char *path, *text;
};
static const struct fake *files;

static int fake_open(const char *path, int flags, int mode) {
    (void)flags, (void)mode;
    for (int i = 0; files[i].path; i++)
        if (!strcmp(files[i].path, path)) return i + 1000;
    return -1;
}
static int fake_close(int fd) {
    return fd < 1000;
}
static ssize_t fake_pread(int fd, void *buf, size_t n, off_t at) {
    const char *text = files[fd - 1000].text;
    size_t left = strlen(text) - (size_t)at;
    if (n > left) n = left;
    if (n > 7) n = 7; /* short reads are legal */
    memcpy(buf, text + at, n);
    return (ssize_t)n;
}

static int rule(const struct fake *f, const char *omp, int wanted) {
    struct ada_os real = ada_os;
    files = f;
    ada_os.open = fake_open, ada_os.close = fake_close, ada_os.pread = fake_pread;
    if (omp)
        setenv("OMP_NUM_THREADS", omp, 1);
    else
        unsetenv("OMP_NUM_THREADS");
    int n = ada_par_set(wanted);
    ada_os = real;
    return n;
}

static void wish_only_lowers(void **state) {
    (void)state;
    (void)ada_par_force(1);
    assert_int_equal(ada_par_wish(2), 1);
    assert_int_equal(ada_par_threads(), 1);
}

static void thread_rule(void **state) {
    (void)state;
    static const struct fake none[] = {{NULL, NULL}};
    static const struct fake v2[] = {{"/proc/self/cgroup", "0::/a/b\n"},
                                     {"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
                                     {"/sys/fs/cgroup/a/cpu.max", "150000 100000\n"},
                                     {NULL, NULL}};
    static const struct fake root[] = {
        {"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}, {NULL, NULL}};
    static const struct fake v1[] = {{"/proc/self/cgroup", "3:cpuset:/\n2:cpu,cpuacct:/docker/x\n0::/\n"},
                                     {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n"},
                                     {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
                                     {NULL, NULL}};
    static const struct fake free1[] = {{"/proc/self/cgroup", "1:cpu:/\n"},
                                        {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
                                        {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
                                        {NULL, NULL}};
    int machine = rule(none, NULL, 0);
    assert_in_range(machine, 1, 8192);
    assert_int_equal(rule(v2, NULL, 0), 1);
    assert_int_equal(rule(root, NULL, 0), 1);
    assert_int_equal(rule(v1, NULL, 0), 1);
    assert_int_equal(rule(free1, NULL, 0), machine);
    assert_int_equal(rule(none, "1,4", 0), 1);
    assert_int_equal(rule(none, "nonsense", 0), machine);
    assert_int_equal(rule(none, NULL, 1), 1);
    assert_int_equal(rule(none, NULL, 100000), machine);
    assert_int_equal(ada_par_threads(), machine);
}

enum { ITEMS = 1000 };
struct seen {
    atomic_int times[ITEMS];
    atomic_int outside;
};
static void mark(void *ctx, size_t i, int worker) {
    struct seen *s = ctx;
    atomic_fetch_add(&s->times[i], 1);
    if (worker < 0 || worker >= ada_par_threads()) atomic_fetch_add(&s->outside, 1);
}

static void each_item_once(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 3, 7, ITEMS};
    for (int team = 1; team <= 5; team++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            static struct seen s;
            memset(&s, 0, sizeof s);
            assert_int_equal(ada_par_force(team), team);
            ada_par_for(sizes[k], mark, &s);
            for (size_t i = 0; i < ITEMS; i++) assert_int_equal(s.times[i], i < sizes[k]);
            assert_int_equal(s.outside, 0);
        }
}

struct nest {
    struct seen inner;
    atomic_int strange;
};
static void inner(void *ctx, size_t i, int worker) {
    struct nest *n = ctx;
    mark(&n->inner, i, worker);
    if (worker + 1 != ada_par_inside()) atomic_fetch_add(&n->strange, 1);
}
static void outer(void *ctx, size_t i, int worker) {
    struct nest *n = ctx;
    if (worker + 1 != ada_par_inside()) atomic_fetch_add(&n->strange, 1);
    ada_par_for(i % 5, inner, n);
    if (worker + 1 != ada_par_inside()) atomic_fetch_add(&n->strange, 1);
}

/* A loop within a body runs there, as that body's worker; one within a loop of one item is as any other. */
static void loops_within_loops(void **state) {
    (void)state;
    for (int team = 2; team <= 5; team++) {
        static struct nest n;
        memset(&n, 0, sizeof n);
        (void)ada_par_force(team);
        ada_par_for(ITEMS, outer, &n);
        for (size_t i = 0; i < ITEMS; i++)
            assert_int_equal(n.inner.times[i], i < 4 ? ITEMS / 5 * (4 - (int)i) : 0);
        assert_int_equal(n.inner.outside + n.strange, 0);
        assert_int_equal(ada_par_inside(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(thread_rule), cmocka_unit_test(wish_only_lowers),
                                       cmocka_unit_test(each_item_once),
                                       cmocka_unit_test(loops_within_loops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
