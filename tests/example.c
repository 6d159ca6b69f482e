/* SPDX-License-Identifier: Apache-2.0
 * How a program uses the library: a model is opened, an adapter trained for a few steps, saved, opened again
 * and evaluated. Owns: nothing but what it opens. Must not know: any header but engine/adalink.h. Invariant:
 * it ends with 0 only if the opened adapter's loss is the trained one's, and below the base's. */
#include "engine/adalink.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void remark(void *ctx, int level, const char *message) {
    (void)ctx;
    if (level == ADA_LOG_WARN) fprintf(stderr, "%s\n", message);
}

static ada_status write_rows(const char *path) {
    static const char *const words[4][2] = {
        {"apple", "fruit"}, {"saw", "tool"}, {"plum", "fruit"}, {"axe", "tool"}};
    FILE *f = fopen(path, "w");
    if (!f) return ADA_EIO;
    for (int i = 0; i < 32; i++)
        fprintf(f, "{\"prompt\": \"%d: the %s is a\", \"completion\": \" %s\"}\n", i, words[i % 4][0],
                words[i % 4][1]);
    return fclose(f) == 0 ? ADA_OK : ADA_EIO;
}

static ada_status loss_of(ada_model *m, ada_adapter *a, const char *data, double *loss) {
    ada_json *j = NULL;
    ADA_TRY(ada_eval(m, a, &(ada_eval_opts){.data = data, .max_new = 1}, NULL, NULL, &j));
    *loss = ada_json_num(ada_json_get(j, "loss"), NAN);
    ada_json_close(&j);
    return ADA_OK;
}

static ada_status run(const char *model, const char *data, const char *saved, ada_model **m, ada_adapter **a,
                      ada_trainer **t, double loss[3]) {
    ada_report report;
    ada_status st;
    ADA_TRY(ada_model_open(m, model, &(ada_model_opts){.f32 = true}));
    ADA_TRY(ada_adapter_new(a, *m, &(ada_adapter_opts){.method = "adalink", .rank = 4}));
    ADA_TRY(
        ada_trainer_open(t, *m, *a, &(ada_train_opts){.data = data, .steps = 10, .batch = 8, .lr = 0.02}));
    while ((st = ada_trainer_step(*t, &report)) == ADA_OK)
        printf("step %d of %d: loss %.4f\n", (int)report.step, (int)report.total, report.loss);
    if (st != ADA_DONE) return st;
    ada_trainer_close(t);
    ADA_TRY(loss_of(*m, NULL, data, &loss[0]));
    ADA_TRY(loss_of(*m, *a, data, &loss[1]));
    ADA_TRY(ada_adapter_save(*a, saved));
    ada_adapter_close(a);
    ADA_TRY(ada_adapter_open(a, *m, saved));
    return loss_of(*m, *a, data, &loss[2]);
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/adalink-example-XXXXXX", data[64], saved[64];
    ada_model *m = NULL;
    ada_adapter *a = NULL;
    ada_trainer *t = NULL;
    double loss[3] = {0};
    if (argc != 2 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: example MODEL\n");
        return 2;
    }
    ada_log_set(remark, NULL);
    snprintf(data, sizeof data, "%s/rows.jsonl", folder);
    snprintf(saved, sizeof saved, "%s/adapter.h5", folder);
    ada_status st = write_rows(data);
    if (st == ADA_OK) st = run(argv[1], data, saved, &m, &a, &t, loss);
    if (st != ADA_OK) fprintf(stderr, "example: %s\n", ada_error());
    ada_trainer_close(&t);
    ada_adapter_close(&a);
    ada_model_close(&m);
    unlink(data), unlink(saved), rmdir(folder);
    printf("loss %.4f, adapted %.4f, opened again %.4f\n", loss[0], loss[1], loss[2]);
    return st != ADA_OK ? ada_status_exit(st) : loss[1] < loss[0] && loss[1] == loss[2] ? 0 : 1;
}
