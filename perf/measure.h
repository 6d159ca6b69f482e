/* SPDX-License-Identifier: Apache-2.0
 * What a measurement stands on: repetition, medians, the peaks of this machine, and the one table.
 * Must not know: what is measured. Invariant: each repetition is a pair, the work and then the peak of
 * arithmetic in the same moment, so that a share says as much on a busy machine as on a quiet one. */
#ifndef ADA_PERF_MEASURE_H
#define ADA_PERF_MEASURE_H

typedef void (*perf_fn)(void *ctx);

/* FLOP/s of multiply-adds, all threads, now: of f32, or of pairs of bf16 or tiles of them where the ISA has
 * them. */
double perf_peak(void);
/* The stamp (cpu, ISA, threads, peaks) and the head of the table; repeat: pairs of each row. */
void perf_begin(int repeat);
/* One row of fn; returns the median of milliseconds. Rates are GF/s, or GB/s over the bytes read. */
double perf_flops(const char *name, double flops, perf_fn fn, void *ctx);
double perf_bytes(const char *name, double bytes, perf_fn fn, void *ctx);
void perf_rest(const char *name, double ms); /* a row that follows from others */

#endif
