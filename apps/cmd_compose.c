/* SPDX-License-Identifier: Apache-2.0
 * compose: a vision tower and a text model glued into one .h5. Owns: nothing but the call.
 * Must not know: formats, connectors. Invariant: the output is whole or absent. */
#include "apps/opt.h"
#include "apps/report.h"
#include "io/os.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct compose {
    struct ada_common common;
    const char *out, *rows, *dtype, *model, *adapter, **layers;
    ada_dataset_opts keys;
    ada_compose_opts made;
};
#define F(f) ADA_OPT_FIELD(struct compose, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    { .name = "vision", F(made.vision), .arg = "PATH",
      .help = "a vision model, or a model that has a tower: a Hugging Face folder, a .gguf, or an .h5" },
    { .name = "text", F(made.text), .arg = "PATH",
      .help = "a text model in any of these; where it has an encoder, that reads the images" },
    { .name = "model", .letter = 'm', F(model), .arg = "FILE",
      .help = "instead of these: a model that was composed, …" },
    { .name = "adapter", .letter = 'a', F(adapter), .arg = "FILE",
      .help = "… and a connector trained on it, which takes the place of its own" },
    { .name = "output", .letter = 'o', F(out), .arg = "FILE", .need = true, .help = "the .h5 to write" },
    { .name = "connector", F(made.connector), .arg = "NAME", .words = "linear|mlp2", .def = "linear",
      .help = "what makes rows of the text model of features: one product, or two with a gelu between" },
    { .name = "pixel-shuffle", F(made.pixel_shuffle), .arg = "N", .lo = 1, .hi = 64, .def = "1",
      .help = "N by N patches become one row: fewer rows, each of more numbers, and faster training" },
    { .name = "hidden", F(made.hidden), .arg = "N", .lo = 1, .hi = 1048576,
      .help = "width between mlp2's products; the default is the text model's" },
    { .name = "feature-layer", F(layers), .arg = "N",
      .help = "features are what the tower has after so many layers, from the end if below 0, before the "
              "first at 0; given more than once: side by side. The default is its last, normed as the tower "
              "does" },
    { .name = "feature-rows", F(rows), .arg = "NAME", .words = "patches|default|full", .def = "patches",
      .help = "rows of features: patches alone, all but the first, or all" },
    { .name = "normalize-on", F(made.normalize_on), .arg = "FILE",
      .help = "JSONL rows with images: the connector standardises the tower's channels by the first 512 of "
              "them, which makes training much faster" },
    { .name = "seed", F(made.seed), .arg = "N", .lo = 0, .hi = 9007199254740991, .def = "0",
      .help = "of the connector's start" },
    { .name = "dtype", F(dtype), .arg = "TYPE", .words = "bf16|f32", .def = "bf16",
      .help = "type of the weights in the file; f32 keeps every digit of an f32 source at twice the size" },
    ADA_OPT_KEYS(struct compose),
    ADA_OPT_JSON(struct compose, common.json),
    ADA_OPT_COMMON(struct compose),
    ADA_OPT_LAST,
};
/* clang-format on */

static ada_status make(struct compose *o) {
    bool parts = o->made.vision && o->made.text, trained = o->model && o->adapter;
    bool any_part = o->made.vision || o->made.text, any_trained = o->model || o->adapter;
    if (parts == trained || (parts && any_trained) || (trained && any_part))
        return ada_fail(ADA_EINVAL, "--vision and --text are wanted, or --model and --adapter");
    return trained ? ada_model_fold(o->model, o->adapter, o->out) : ada_model_compose(&o->made, o->out);
}

static ada_status read_layers(ada_tower_opts *t, const char *const *words) {
    for (; words && *words; words++) {
        char *end;
        long n = strtol(*words, &end, 10);
        if (end == *words || *end || n < -1000 || n > 1000)
            return ada_fail(ADA_EINVAL, "--feature-layer '%s' is no whole number within -1000..1000", *words);
        if (t->layers == ADA_TOWER_LAYERS)
            return ada_fail(ADA_EINVAL, "--feature-layer can be given %d times", ADA_TOWER_LAYERS);
        t->layer[t->layers++] = (int)n;
    }
    return ADA_OK;
}

static ada_status run(struct ada_args *a, void *values) {
    struct compose *o = values;
    ADA_TRY(ada_opt_check(a));
    ADA_TRY(read_layers(&o->made.features, o->layers));
    double begun = ada_os.now();
    o->made.keys = o->keys;
    o->made.dtype = strcmp(o->dtype, "f32") == 0 ? ADA_F32 : ADA_BF16;
    o->made.features.rows = *o->rows == 'p'   ? ADA_TOWER_PATCHES
                            : *o->rows == 'd' ? ADA_TOWER_DROP_FIRST
                                              : ADA_TOWER_FULL;
    ADA_TRY(make(o));
    struct ada_object j = ada_object_new();
    struct stat s = {0};
    ada_object_str(&j, "model", o->out);
    if (stat(o->out, &s) == 0) ada_object_int(&j, "bytes", s.st_size);
    ada_object_num(&j, "seconds", ada_os.now() - begun);
    return ada_object_show(&j, ADA_OK, o->common.json);
}

const struct ada_command ada_command_compose = {
    .name = "compose",
    .summary = "glue a vision tower and a text model into one model that sees",
    .text =
        "Both stay as they are, in one HDF5 file with tokenizer, chat template and preprocessing; between "
        "them stands a connector that begins random: `adalink train --method connector` teaches it, and "
        "adapters follow. With --model and --adapter, what was taught becomes the model's own.",
    .examples = "  adalink compose --vision dinov2-small --text smollm2.h5 --pixel-shuffle 2 -o seeing.h5\n"
                "  adalink train -m seeing.h5 --method connector -d captions.jsonl -o connected\n"
                "  adalink compose -m seeing.h5 -a connected/adapter.h5 -o base.h5\n",
    .opts = opts,
    .size = sizeof(struct compose),
    .run = run,
};
