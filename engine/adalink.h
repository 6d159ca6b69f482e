/* SPDX-License-Identifier: Apache-2.0
 * The AdaLink engine: adapt frozen language models through what goes into them. This header is the manual.
 *
 * Introduction
 *   A frozen model is opened once; an adapter e' = e + s·f(e·D)·U acts on its input embeddings; only D [d, r]
 * and U [r, d] are trained, in f32. Handles are opaque and come in open/close pairs; close takes a pointer to
 * the handle, accepts NULL, and nulls it. Option structs are zero-initialised: zero means the default in
 * [brackets]. Every call that can fail returns an ada_status; ada_error() then says why, in one line. The
 * library never prints, exits or aborts; ada_log_set receives its remarks.
 *
 * Simple call
 *   ada_model *m = NULL; ada_adapter *a = NULL; ada_trainer *t = NULL; ada_report rep;
 *   ada_model_open(&m, "SmolLM2-135M-Instruct", NULL);
 *   ada_adapter_new(&a, m, &(ada_adapter_opts){ .method = "adalink", .rank = 64 });
 *   ada_trainer_open(&t, m, a, &(ada_train_opts){ .data = "train.jsonl", .steps = 500 });
 *   while ((st = ada_trainer_step(t, &rep)) == ADA_OK) show(&rep);
 *   ada_adapter_save(a, "out/adapter.h5");
 *
 * Threads: a model may be shared; every other handle belongs to one thread at a time. */
#ifndef ADA_ENGINE_ADALINK_H
#define ADA_ENGINE_ADALINK_H

#include "io/dataset.h"
#include "io/status.h"
#include "simd/types.h"
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADA_VERSION "0.1.0"

typedef struct ada_model ada_model;
typedef struct ada_adapter ada_adapter;
typedef struct ada_trainer ada_trainer;

/* The environment: ADALINK_ISA names the kernels to use, ADALINK_MATMUL who multiplies (own, dnnl). EINVAL,
 * with what there is to choose from, when ADALINK_ISA names none that this CPU runs. ada_model_open calls
 * it. */
ADA_API ada_status ada_engine_check(void) ADA_MUST_USE;

/* ---- models ---- */
typedef struct ada_model_opts {
    bool f32;    /* [bf16] weights and matmul inputs in f32 */
    int threads; /* [all that this process may use] of the whole process; a later model can only lower it */
    const char *mmproj; /* [none] a .gguf with the tower and projector that a text model sees with */
} ada_model_opts;
/* path: an HF folder, a .gguf, or our .h5. EIO, EFORMAT, EUNSUPPORTED (architecture, type, projector),
 * EMISMATCH (tensors); EINVAL where mmproj is no tower, or the model has one. */
ADA_API ada_status ada_model_open(ada_model **m, const char *path, const ada_model_opts *o) ADA_MUST_USE;
ADA_API void ada_model_close(ada_model **m);
/* Writes weights (dtype: ADA_BF16, ADA_F32), tokenizer, chat template, config and digests as one .h5.
 * mmproj: as of ada_model_opts, or NULL. */
ADA_API ada_status ada_model_import(const char *source, const char *mmproj, const char *out,
                                    ada_dtype dtype) ADA_MUST_USE;
/* A JSON object: architecture, shapes, parameters, dtype, tokenizer, chat family, matmul maker, ISA, threads
 * … */
ADA_API ada_status ada_model_describe(const ada_model *m, ada_json **j) ADA_MUST_USE;

/* ---- vision towers ---- */
typedef struct ada_tower ada_tower;
typedef enum {
    ADA_TOWER_PATCHES = 0, /* neither class token nor registers */
    ADA_TOWER_DROP_FIRST,  /* all rows but the first, whatever that is: "default" in others' configurations */
    ADA_TOWER_FULL
} ada_tower_rows_kind;
enum { ADA_TOWER_LAYERS = 16 };
typedef struct ada_tower_opts {
    int layers; /* [0: the last hidden state, normed where the model norms it] a row of features is the hidden
                 * states after so many layers as `layer` [layers] says, side by side in its order */
    int layer[ADA_TOWER_LAYERS]; /* < 0: from the end, -1 after the last; 0: before the first */
    ada_tower_rows_kind rows;    /* [patches] */
    bool f32;                    /* [bf16] as of models */
} ada_tower_opts;
/* path: a vision model, or one that has a vision tower, in any format of models. */
ADA_API ada_status ada_tower_open(ada_tower **t, const char *path, const ada_tower_opts *o) ADA_MUST_USE;
ADA_API void ada_tower_close(ada_tower **t);
ADA_API ada_status ada_tower_describe(const ada_tower *t, ada_json **j) ADA_MUST_USE;

/* ---- a vision-language model of two parts ---- */
typedef struct ada_compose_opts {
    const char *vision, *text; /* models in any format; the text model sees nothing yet */
    const char *connector;     /* ["linear"] linear | mlp2 (with the exact gelu between) */
    int pixel_shuffle;         /* [1] so many rows of patches by so many columns become one row */
    int hidden;                /* [the text model's width] of mlp2 */
    ada_tower_opts features;   /* which; its f32 is not read */
    ada_dtype dtype;           /* ADA_BF16, ADA_F32: of weights; a connector is f32 */
    const char *normalize_on;  /* [none] JSONL rows: channels are standardised by their first 512 images */
    ada_dataset_opts keys;     /* of these rows */
    uint64_t seed;             /* [0] of the connector's start */
} ada_compose_opts;
/* Writes one .h5 of both, frozen, and a connector at its start: random, so that image rows stand around the
 * mean of the text's and as far from it. EINVAL, EMISMATCH (tensors), EFORMAT; with the image and its row
 * where one cannot be seen. */
ADA_API ada_status ada_model_compose(const ada_compose_opts *o, const char *out) ADA_MUST_USE;
/* Writes such an .h5 again, with the connector of an adapter of method "connector" that was trained on it.
 * EMISMATCH: on another; EUNSUPPORTED: another method, or the model was not composed. */
ADA_API ada_status ada_model_fold(const char *model, const char *adapter, const char *out) ADA_MUST_USE;

/* ---- adapters ---- */
#define ADA_INIT_STD(d) (1.0 / sqrt((double)(d))) /* the default, from the width d */
typedef struct ada_adapter_opts {
    const char *method;     /* ["adalink"] or "connector", whose only option is seed: what makes rows of a
                             * model's image features is trained itself, from the model's own on */
    int rank;               /* [64] */
    double scale;           /* [1] s */
    const char *activation; /* ["none"] none | relu | gelu (the exact one, by erf): f */
    bool bias;              /* [no] a bias after each product: b_down [r], b_up [d] */
    double init_std;        /* [ADA_INIT_STD(d)] standard deviation of D's start; U starts at 0 */
    uint64_t seed;          /* [0] */
    const char *site;       /* ["encoder" where there is one] at whose input: encoder | decoder | both */
    const char *modalities; /* [every one the model has] text | image | text,image */
} ada_adapter_opts;
ADA_API ada_status ada_adapter_new(ada_adapter **a, ada_model *m, const ada_adapter_opts *o) ADA_MUST_USE;
/* EMISMATCH, naming both bases, when the file was made for another model. */
ADA_API ada_status ada_adapter_open(ada_adapter **a, ada_model *m, const char *path) ADA_MUST_USE;
/* What images pass becomes a copy of what text passes. EINVAL where it has not both. */
ADA_API ada_status ada_adapter_image_from_text(ada_adapter *a) ADA_MUST_USE;
ADA_API ada_status ada_adapter_save(const ada_adapter *a, const char *path) ADA_MUST_USE;
ADA_API void ada_adapter_close(ada_adapter **a);
ADA_API size_t ada_adapter_params(const ada_adapter *a); /* trained numbers */
/* What an adapter or checkpoint file says of itself, without its model: a JSON object. */
ADA_API ada_status ada_adapter_describe(const char *path, ada_json **j) ADA_MUST_USE;

/* ---- training ----
 * Rows are drawn as one endless stream: epoch after epoch, each shuffled by f(seed, epoch) unless no_shuffle.
 * A step takes the next batch · grad_accum rows, so a batch may straddle two epochs, none is partial and no
 * row is skipped; steps = floor(rows · epochs / (batch · grad_accum)), at least 1. The loss of a step is the
 * mean over all its target tokens. lr at step s (from 0): (s + 1) / warmup of it at first, then cosine or
 * linear to 0, or constant. */
typedef struct ada_train_opts {
    const char *data;      /* JSONL */
    const char *eval_data; /* [none] JSONL for validation */
    const char *out;       /* [none] folder: adapter.h5 (best or last), checkpoint-N.h5, metrics.jsonl */
    const char *model;     /* [none] where m was opened, written down for whoever resumes */
    const char *mmproj;    /* [none] with which other file */
    const char *features;  /* [memory alone] folder in which what the tower says of images is kept */
    ada_dataset_opts keys;
    double lr;                /* [3e-3] */
    const char *schedule;     /* ["cosine"] cosine | linear | constant */
    double warmup;            /* [0.06] < 1: share of the steps; ≥ 1: steps; < 0: none */
    double epochs;            /* [3 unless steps] */
    int64_t steps;            /* [from epochs] */
    int batch;                /* [16] rows a step, times grad_accum */
    int grad_accum;           /* [1] */
    int max_length;           /* [1024] tokens a row; longer ones are truncated and counted */
    double weight_decay;      /* [0] */
    double clip;              /* [1.0] global norm; < 0: none */
    double beta1, beta2, eps; /* [0.9 0.999 1e-8] */
    int64_t eval_every;       /* [each epoch, if eval_data] steps */
    int patience;             /* [0 = off] validations without a better loss before the run ends */
    int64_t save_every;       /* [0 = at the end only] steps between checkpoints */
    int keep;                 /* [2] checkpoints kept */
    const char *loss;   /* ["tokens"] of the next token; or, of method "connector", "embeddings": the last
                         * rows of a row's images learn to be the embeddings of its completion's tokens,
                         * rows before them that of a line feed. The language model is not run */
    bool all_tokens;    /* [completion only] loss on prompt tokens too */
    bool no_shuffle;    /* [shuffled each epoch] rows in file order */
    const char *resume; /* [none] folder or checkpoint: all other settings come from it, but for out */
    uint64_t seed;      /* [0] */
} ada_train_opts;

typedef struct ada_report {
    int64_t step, total;        /* 1-based, of total */
    double epoch;               /* data position */
    double loss, lr, grad_norm; /* loss: mean over the step's target tokens, natural log; of embeddings: the
                                 * squared distance to them as a share of their squared length */
    size_t tokens, targets;     /* of this step; tokens: prompt + completion as the user counts them */
    double seconds, tokens_per_second;
    double eval_loss; /* NaN unless a validation happened at this step */
    bool best, saved;
    double eta_seconds;
    size_t memory_peak;
} ada_report;

typedef struct ada_train_plan { /* what --dry-run prints */
    size_t rows, dropped, truncated, eval_rows;
    int64_t steps;
    double epochs;
    size_t tokens_per_epoch, targets_per_epoch;
    size_t memory;  /* predicted peak resident bytes */
    double flops;   /* of the whole run */
    double seconds; /* predicted, from a short timed probe */
} ada_train_plan;

/* To resume a run with nothing but its folder: find gives the newest whole checkpoint in `folder` (a file is
 * itself) and the run's settings ("model", "f32", "data", "lr", …); then open the model named there, open the
 * checkpoint as an adapter, and the trainer with .resume = the path found. */
ADA_API ada_status ada_checkpoint_find(const char *folder, ada_buf *path, ada_json **settings) ADA_MUST_USE;
/* The settings in force, defaults resolved, as a JSON object whose keys are the option names. */
ADA_API ada_status ada_trainer_settings(const ada_trainer *t, ada_json **settings) ADA_MUST_USE;
/* EINVAL, EFORMAT with file:line, EMISMATCH when the data is not what the checkpoint was trained on. The
 * adapter's parameters move with each step; after ADA_DONE, with eval_data, they are the best ones. */
ADA_API ada_status ada_trainer_open(ada_trainer **t, ada_model *m, ada_adapter *a,
                                    const ada_train_opts *o) ADA_MUST_USE;
ADA_API ada_status ada_trainer_plan(ada_trainer *t, ada_train_plan *plan) ADA_MUST_USE;
/* The tokens and loss mask of row i as trained: for --dry-run. Pointers live until the trainer closes. */
ADA_API ada_status ada_trainer_row(const ada_trainer *t, size_t i, const int32_t **ids, const uint8_t **mask,
                                   size_t *n) ADA_MUST_USE;
/* One optimizer step. ADA_DONE after the last; ENUMERIC names step and rows and leaves all files alone. */
ADA_API ada_status ada_trainer_step(ada_trainer *t, ada_report *r) ADA_MUST_USE;
/* Writes a checkpoint now (before exit on a signal). */
ADA_API ada_status ada_trainer_save(ada_trainer *t) ADA_MUST_USE;
ADA_API void ada_trainer_close(ada_trainer **t);

/* ---- evaluation ---- */
typedef struct ada_eval_opts {
    const char *data;
    ada_dataset_opts keys;
    int max_length;       /* [the model's] */
    int max_new;          /* [64] tokens of greedy output for exact match */
    size_t batch_tokens;  /* [1024] */
    int beams;            /* [1] more: that output by beam search */
    const char *features; /* as of training */
} ada_eval_opts;
typedef struct ada_eval_row { /* given to the callback in file order */
    size_t line;
    const double *loglik; /* [nchoices], sum over the choice's tokens, natural log; NULL without choices */
    size_t nchoices;
    const char *prediction, *target;
    double nll; /* of the target */
    size_t target_tokens;
} ada_eval_row;
typedef void (*ada_eval_fn)(void *ctx, const ada_eval_row *row);
/* a may be NULL: the base alone. Result: {"n","accuracy","macro_f1","nll",…} or
 * {"n","loss","perplexity","exact_match"} */
ADA_API ada_status ada_eval(ada_model *m, ada_adapter *a, const ada_eval_opts *o, ada_eval_fn fn, void *ctx,
                            ada_json **result) ADA_MUST_USE;

/* ---- generation ----
 * A generator is a session: each call gives the whole text or conversation, and what it shares with the
 * tokens already in the cache is not computed again. EINVAL when the prompt does not fit the capacity; when
 * the answer reaches it, generation ends with "length". A model with an encoder reads the prompt there, once.
 * Processors act in transformers' order: repetition,
 * temperature, top-k, top-p, min-p. */
typedef struct ada_generate_opts {
    int max_new;             /* [256] */
    double temperature;      /* [0 = greedy] */
    int top_k;               /* [0 = off] */
    double top_p, min_p;     /* [0 = off] */
    double repetition;       /* [1] penalty, as transformers' */
    const char *const *stop; /* strings, NULL-terminated */
    bool ignore_eos;
    uint64_t seed;
    bool plain;            /* [a user's turn where the model has a chat template] the prompt is text */
    bool logprobs;         /* fill the events' logprob */
    int beams;             /* [1] more: beam search, without temperature, repetition penalty and logprobs */
    double length_penalty; /* [1] of beams: the power of the length that log-likelihoods are divided by */
    /* [none] files, in the order of the "<image>" marks of the text; without marks, in front of it. Not with
     * ids. */
    const char *const *images;
    size_t nimages;
} ada_generate_opts;
typedef struct ada_token_event {
    int32_t id;     /* -1: no token, only held back text set free at the end */
    double logprob; /* natural log, of the unmodified distribution; NaN unless asked for */
    const char *piece;
    size_t piece_len; /* whole UTF-8 only; what a partial one held back comes later */
} ada_token_event;
/* Return nonzero to stop. */
typedef int (*ada_token_fn)(void *ctx, const ada_token_event *e);
typedef struct ada_generator ada_generator;
/* capacity: tokens of the cache [the model's positions, 4096 at most]. a may be NULL. */
ADA_API ada_status ada_generator_open(ada_generator **g, ada_model *m, ada_adapter *a,
                                      int capacity) ADA_MUST_USE;
ADA_API void ada_generator_close(ada_generator **g);
/* finish: "stop" | "length" | "eos" | "callback". */
ADA_API ada_status ada_generate_text(ada_generator *g, const char *text, const ada_generate_opts *o,
                                     ada_token_fn fn, void *ctx, const char **finish) ADA_MUST_USE;
/* From tokens as they are, BOS included. */
ADA_API ada_status ada_generate_ids(ada_generator *g, const int32_t *ids, size_t n,
                                    const ada_generate_opts *o, ada_token_fn fn, void *ctx,
                                    const char **finish) ADA_MUST_USE;
ADA_API ada_status ada_generate_chat(ada_generator *g, const ada_message *msgs, size_t n,
                                     const ada_generate_opts *o, ada_token_fn fn, void *ctx,
                                     const char **finish) ADA_MUST_USE;

/* ---- bench: one timed pass of random input ---- */
typedef struct ada_bench_task {
    const char *kind; /* "pp": n prompt tokens; "tg": n tokens after a prompt of 1; "train": n prompt tokens
                         in rows of `row`; "images": n images through the vision tower */
    int n;
    int row;    /* [n] tokens of each row's prompt: of its source, where the model has an encoder */
    int target; /* [0] tokens that follow it, n / row times as many in all. Loss is on them; without any, on
                   every token */
    int size;   /* [0] side of the images in pixels; 0: what the tower was trained on */
} ada_bench_task;
/* seconds; flops (may be NULL): multiply-adds × 2 that the pass needs. */
ADA_API ada_status ada_bench(ada_model *m, const ada_bench_task *task, double *seconds,
                             double *flops) ADA_MUST_USE;
/* n images of size × size pixels, or of what the tower was trained on, if size is 0; pixels are random, and
 * not preprocessed. */
ADA_API ada_status ada_tower_bench(ada_tower *t, int n, int size, double *seconds,
                                   double *flops) ADA_MUST_USE;

#endif
