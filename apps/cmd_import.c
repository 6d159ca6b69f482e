/* SPDX-License-Identifier: Apache-2.0
 * import: any model that opens, written as one .h5. Owns: nothing but the call.
 * Must not know: formats. Invariant: the output is whole or absent. */
#include "apps/opt.h"
#include "apps/report.h"
#include "io/os.h"
#include <string.h>
#include <sys/stat.h>

struct import {
    struct ada_common common;
    const char *model, *mmproj, *out, *dtype;
};
#define F(f) ADA_OPT_FIELD(struct import, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    { .name = "model", .letter = 'm', F(model), .arg = "PATH", .need = true,
      .help = "what to import: a Hugging Face folder, a .gguf, or another .h5" },
    ADA_OPT_MMPROJ(struct import, mmproj),
    { .name = "output", .letter = 'o', F(out), .arg = "FILE", .need = true, .help = "the .h5 to write" },
    { .name = "dtype", F(dtype), .arg = "TYPE", .words = "bf16|f32", .def = "bf16",
      .help = "type of the weights in the file; f32 keeps every digit of an f32 source at twice the size" },
    ADA_OPT_JSON(struct import, common.json),
    ADA_OPT_COMMON(struct import),
    ADA_OPT_LAST,
};
/* clang-format on */

static ada_status run(struct ada_args *a, void *values) {
    const struct import *o = values;
    ADA_TRY(ada_opt_check(a));
    double begun = ada_os.now();
    ada_dtype type = strcmp(o->dtype, "f32") == 0 ? ADA_F32 : ADA_BF16;
    ADA_TRY(ada_model_import(o->model, o->mmproj, o->out, type));
    struct ada_object j = ada_object_new();
    struct stat s = {0};
    ada_object_str(&j, "model", o->out);
    if (stat(o->out, &s) == 0) ada_object_int(&j, "bytes", s.st_size);
    ada_object_num(&j, "seconds", ada_os.now() - begun);
    return ada_object_show(&j, ADA_OK, o->common.json);
}

const struct ada_command ada_command_import = {
    .name = "import",
    .summary = "write a model as one .h5, from which opening is fastest",
    .text = "Weights, tokenizer, chat template, configuration and digests go into one HDF5 file. Quantised "
            "weights are widened. The file keeps the digest of its source, so an adapter made for the one "
            "fits the other.",
    .examples = "  adalink import -m SmolLM2-135M-Instruct.Q4_1.gguf -o smollm2.h5\n"
                "  adalink import -m SmolVLM-Q8_0.gguf --mmproj mmproj-SmolVLM-f16.gguf -o smolvlm.h5\n",
    .opts = opts,
    .size = sizeof(struct import),
    .run = run,
};
