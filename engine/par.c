/* SPDX-License-Identifier: Apache-2.0
 * Parallel loops, and the rule that says how many threads there are. The only file with OpenMP.
 * A team always has the full number of threads, even for fewer items: libgomp ends and makes threads again
 * when teams change size, and between regions of one size they spin, so that a region costs about 1 µs. Must
 * not know: what is computed. Invariant: items are handed out one at a time, each exactly once; the first of
 * them to the first worker and so on, so that loops over the same rows give each core the same rows. */
#include "engine/par.h"
#include "io/os.h"

#include <fcntl.h>
#include <limits.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int threads;              /* 0 until ada_par_set */
static _Thread_local int inside; /* a loop: which worker this is, from 1; else 0 */

/* The start of a small file as a string; false if it cannot be read. */
static bool slurp(const char *path, char *buf, size_t n) {
    int fd = ada_os.open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return false;
    size_t len = 0;
    for (ssize_t got; len < n - 1 && (got = ada_os.pread(fd, buf + len, n - 1 - len, (off_t)len)) > 0;)
        len += (size_t)got;
    buf[len] = '\0';
    ada_os.close(fd);
    return true;
}

/* Whole cpus in quota/period, at least 1; INT_MAX where there is no quota. Half a cpu more would only mean
 * that the kernel stops all threads for a part of each period, while they wait for each other. */
static int quota_cpus(long long quota, long long period) {
    if (quota <= 0 || period <= 0) return INT_MAX;
    long long n = quota / period;
    return n < 1 ? 1 : n > INT_MAX ? INT_MAX : (int)n;
}

/* One folder of the hierarchy, v2 then v1. */
static int folder_cpus(const char *mount, const char *group) {
    char path[4400], text[64], *end;
    snprintf(path, sizeof path, "%s%s/cpu.max", mount, group);
    if (slurp(path, text, sizeof text)) {
        long long quota = strtoll(text, &end, 10); /* "max 100000" parses as 0: no quota */
        return quota_cpus(quota, strtoll(end, NULL, 10));
    }
    snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", mount, group);
    if (!slurp(path, text, sizeof text)) return INT_MAX;
    long long quota = strtoll(text, NULL, 10);
    snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", mount, group);
    if (!slurp(path, text, sizeof text)) return INT_MAX;
    return quota_cpus(quota, strtoll(text, NULL, 10));
}

static int min_int(int a, int b) {
    return a < b ? a : b;
}

/* The tightest quota from our group up to the root, in whichever hierarchies have a cpu controller. In a
 * container the group's own path is often not mounted; then only the root's files exist, and they are the
 * container's. */
static int cgroup_cpus(void) {
    char all[8192];
    int best = INT_MAX;
    if (!slurp("/proc/self/cgroup", all, sizeof all)) return best;
    for (char *line = all, *next; line && *line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *controllers++ = *group++ = '\0';
        char mount[600];
        if (!*controllers)
            snprintf(mount, sizeof mount, "/sys/fs/cgroup");
        else if (!strncmp(controllers, "cpu", 3) && (controllers[3] == ',' || !controllers[3]))
            snprintf(mount, sizeof mount, "/sys/fs/cgroup/%.500s", controllers);
        else
            continue;
        for (size_t len = strlen(group);;) {
            while (len && group[len - 1] == '/') len--;
            group[len] = '\0';
            best = min_int(best, folder_cpus(mount, group));
            if (!len) break;
            while (len && group[len - 1] != '/') len--;
        }
    }
    return best;
}

static int positive_or_max(const char *text) {
    long n = text ? strtol(text, NULL, 10) : 0;
    return n > 0 && n < INT_MAX ? (int)n : INT_MAX;
}

int ada_par_force(int n) {
    threads = n > 0 ? n : 1;
    omp_set_dynamic(0);
    omp_set_num_threads(threads); /* for oneDNN, which asks OpenMP */
    return threads;
}

int ada_par_set(int wanted) {
    /* not the affinity as it is now: where OMP_PROC_BIND is set, that is this thread's one cpu */
    int n = min_int(omp_get_num_procs(), cgroup_cpus());
    n = min_int(n, positive_or_max(getenv("OMP_NUM_THREADS")));
    if (wanted > 0) n = min_int(n, wanted);
    return ada_par_force(n == INT_MAX ? 1 : n);
}

int ada_par_wish(int wanted) {
    return ada_par_set(threads > 0 && wanted > threads ? threads : wanted);
}

int ada_par_threads(void) {
    return threads ? threads : ada_par_set(0);
}

int ada_par_inside(void) {
    return inside;
}

enum { MOST_SHARES = 256 };

/* A part of the items, one worker's to begin with; on a cache line of its own. */
struct share {
    _Alignas(64) atomic_size_t next;
    size_t end;
};

/* Its own share first, then what others have left. */
static void work(struct share *shares, int n, ada_par_fn body, void *ctx, int worker) {
    for (int i = 0; i < n; i++) {
        struct share *s = &shares[(worker + i) % n];
        for (size_t at; (at = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end;)
            body(ctx, at, worker);
    }
}

void ada_par_for(size_t n, ada_par_fn body, void *ctx) {
    int team = inside ? 1 : ada_par_threads();
    if (team == 1 || n <= 1) {
        for (size_t i = 0; i < n; i++) body(ctx, i, inside ? inside - 1 : 0);
        return;
    }
    struct share shares[MOST_SHARES];
    size_t count = (size_t)min_int(team, MOST_SHARES), rest = n % count;
    for (size_t i = 0, from = 0; i < count; i++) {
        atomic_init(&shares[i].next, from);
        shares[i].end = from += n / count + (i < rest);
    }
#pragma omp parallel num_threads(team)
    {
        int worker = omp_get_thread_num();
        omp_set_num_threads(1); /* for the libraries that a body calls; ends with the loop */
        inside = worker + 1;
        work(shares, (int)count, body, ctx, worker);
        inside = 0;
    }
}
