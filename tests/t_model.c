/* SPDX-License-Identifier: Apache-2.0
 * Opening models: the switches that a configuration sets, tensors claimed or refused by name, GGUF's order
 * undone, and the way through our own .h5. Folders are made here, from a table of tensors that a test
 * changes. */
#include "engine/arch.h"
#include "engine/rope.h"
#include "tests/pass.h"
#include <math.h>

static const char config[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 8, \"num_hidden_layers\": 1, \"vocab_size\": 5,"
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"intermediate_size\": 6,"
    "\"tie_word_embeddings\": true%s}";
typedef struct {
    const char *name;
    int rows, cols;
} entry;
#define L0 "model.layers.0."
static const entry standard[] = {
    {"model.embed_tokens.weight", 5, 8},  {"model.norm.weight", 8, 0},
    {L0 "input_layernorm.weight", 8, 0},  {L0 "self_attn.q_proj.weight", 8, 8},
    {L0 "self_attn.k_proj.weight", 4, 8}, {L0 "self_attn.v_proj.weight", 4, 8},
    {L0 "self_attn.o_proj.weight", 8, 8}, {L0 "post_attention_layernorm.weight", 8, 0},
    {L0 "mlp.gate_proj.weight", 6, 8},    {L0 "mlp.up_proj.weight", 6, 8},
    {L0 "mlp.down_proj.weight", 8, 6},
};
enum { STANDARD = sizeof standard / sizeof *standard };

/* A folder of these tensors, each value its number within its tensor, and of a configuration. */
static const char *folder(const char *text, const entry *e, size_t n) {
    static unsigned made;
    char name[16], file[64];
    ada_buf head = {0}, all = {0};
    size_t at = 0;
    snprintf(name, sizeof name, "m%u", made++);
    assert_ok(ada_make_folder(io_path(name)));
    snprintf(file, sizeof file, "%s/config.json", name);
    io_file(file, text, strlen(text));
    for (size_t i = 0; i < n; i++) {
        size_t bytes = (size_t)e[i].rows * (e[i].cols ? (size_t)e[i].cols : 1) * sizeof(float);
        assert_ok(ada_buf_printf(&head, "%s\"%s\": {\"dtype\": \"F32\", \"shape\": [%d", i ? ", " : "{",
                                 e[i].name, e[i].rows));
        if (e[i].cols) assert_ok(ada_buf_printf(&head, ", %d", e[i].cols));
        assert_ok(ada_buf_printf(&head, "], \"data_offsets\": [%zu, %zu]}", at, at + bytes));
        at += bytes;
    }
    assert_ok(ada_buf_puts(&head, "}"));
    uint64_t len = head.len;
    assert_ok(ada_buf_add(&all, &len, sizeof len));
    assert_ok(ada_buf_add(&all, head.data, head.len));
    for (size_t i = 0; i < at / sizeof(float); i++)
        assert_ok(ada_buf_add(&all, &(float){(float)i}, sizeof(float)));
    snprintf(file, sizeof file, "%s/model.safetensors", name);
    io_file(file, all.data, all.len);
    ada_buf_free(&head);
    ada_buf_free(&all);
    return io_path(name);
}

static const char *plain_folder(const char *more, const entry *e, size_t n) {
    char text[1024];
    snprintf(text, sizeof text, config, more);
    return folder(text, e, n);
}

static void refuses(const char *path, ada_status st, const char *words) {
    ada_model *m = NULL;
    assert_fails(ada_model_open(&m, path, NULL), st, words);
    assert_null(m);
}

/* ---- tensors ---- */

static void test_opens(void **state) {
    (void)state;
    ada_model *m = NULL;
    float e[8];
    assert_ok(ada_model_open(&m, plain_folder("", standard, STANDARD), &(ada_model_opts){.f32 = true}));
    assert_true(m->name[0] == 'm' && !m->table);
    ada_model_embed(m, 3, e);
    for (int i = 0; i < 8; i++) assert_true(e[i] == (float)(24 + i));
    assert_fails(ada_model_text(m), ADA_EUNSUPPORTED, "no tokenizer");
    ada_model_close(&m);
    ada_model_close(&m);
}

static void test_wrong_environment(void **state) {
    (void)state;
    ada_model *m;
    setenv("ADALINK_ISA", "nosuch", 1);
    assert_fails(ada_model_open(&m, "absent", NULL), ADA_EINVAL, "ADALINK_ISA 'nosuch'");
    unsetenv("ADALINK_ISA");
    assert_fails(ada_model_open(&m, "absent", NULL), ADA_EIO, "absent");
}

static void test_tensors_are_claimed(void **state) {
    (void)state;
    entry e[STANDARD + 2];
    memcpy(e, standard, sizeof standard);
    refuses(plain_folder("", e, STANDARD - 1), ADA_EMISMATCH,
            "missing from the model: 'model.layers.0.mlp.down_proj.weight'");
    refuses(plain_folder("", e, 2), ADA_EMISMATCH, "and 5 more");
    e[STANDARD] = (entry){L0 "self_attn.q_proj.bias", 8, 0};
    refuses(plain_folder("", e, STANDARD + 1), ADA_EMISMATCH,
            "do not have: 'model.layers.0.self_attn.q_proj.bias'");
    e[STANDARD] = (entry){"model.layers.1.mlp.up_proj.weight", 6, 8};
    refuses(plain_folder("", e, STANDARD + 1), ADA_EMISMATCH, "'model.layers.1.mlp.up_proj.weight'");
    e[STANDARD] = (entry){"model.layers.00.mlp.up_proj.weight", 6, 8};
    refuses(plain_folder("", e, STANDARD + 1), ADA_EMISMATCH, "'model.layers.00.mlp.up_proj.weight'");
    e[4].rows = 8;
    refuses(plain_folder("", e, STANDARD), ADA_EMISMATCH,
            "'model.layers.0.self_attn.k_proj.weight' has shape [8, 8], wanted [4, 8]");
    e[4].rows = 4, e[2].cols = 8;
    refuses(plain_folder("", e, STANDARD), ADA_EMISMATCH, "has shape [8, 8], wanted [8]");
}

static void test_what_is_ignored(void **state) {
    (void)state;
    ada_model *m = NULL;
    entry e[STANDARD + 2];
    memcpy(e, standard, sizeof standard);
    e[STANDARD] = (entry){L0 "self_attn.rotary_emb.inv_freq", 2, 0};
    e[STANDARD + 1] = (entry){"lm_head.weight", 5, 8}; /* beside a tied head */
    assert_ok(ada_model_open(&m, plain_folder("", e, STANDARD + 2), NULL));
    ada_model_close(&m);
}

static void test_untied(void **state) {
    (void)state;
    ada_model *m = NULL;
    entry e[STANDARD + 1];
    float row[8];
    char text[1024];
    memcpy(e, standard, sizeof standard);
    e[STANDARD] = (entry){"lm_head.weight", 5, 8};
    snprintf(text, sizeof text, config, "");
    memcpy(strstr(text, "true"), "null", 4); /* absent or null is Llama's default: not tied */
    refuses(folder(text, e, STANDARD), ADA_EMISMATCH, "'lm_head.weight'");
    assert_ok(ada_model_open(&m, folder(text, e, STANDARD + 1), NULL));
    ada_model_embed(m, 4, row);
    for (int i = 0; i < 8; i++) assert_true(row[i] == (float)(32 + i));
    ada_model_close(&m);
}

/* ---- configurations ---- */

static ada_status read_config(ada_config *c, const char *text) {
    char meta[1024];
    ada_json *j = NULL;
    const struct ada_arch *arch;
    snprintf(meta, sizeof meta, "{\"config\": %s}", text);
    assert_ok(ada_json_parse(&j, meta, strlen(meta), "test"));
    ada_status st = ada_arch_read(&arch, c, j);
    ada_json_close(&j);
    return st;
}

static ada_status read_with(ada_config *c, const char *more) {
    char text[1024];
    snprintf(text, sizeof text, config, more);
    return read_config(c, text);
}

static void test_switches(void **state) {
    (void)state;
    ada_config c;
    assert_ok(read_with(&c, ""));
    assert_true(c.head_dim == 4 && c.gated && c.tie && c.rope_theta == 10000 && c.norm_eps == 1e-6F &&
                !c.window);
    assert_ok(read_with(
        &c, ", \"head_dim\": 6, \"rope_theta\": 500000.0, \"hidden_act\": \"relu\", \"rope_scaling\": null"));
    assert_true(c.head_dim == 6 && c.rope_theta == 500000 && c.act == ADA_ACT_RELU && !c.rope_scaling);
    assert_ok(
        read_with(&c, ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"rope_theta\": 100"));
    assert_true(c.rope_scaling == ADA_ROPE_LINEAR && c.rope_factor == 2 && c.rope_theta == 100);
    assert_ok(read_with(
        &c, ", \"rope_parameters\": {\"rope_type\": \"dynamic\", \"factor\": 2, \"rope_theta\": 7e4}"));
    assert_true(c.rope_scaling == ADA_ROPE_DYNAMIC && c.rope_theta == 7e4);
    assert_ok(read_with(
        &c, ", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"attention_factor\": 1.5}"));
    assert_true(c.rope_scaling == ADA_ROPE_YARN && c.rope_mscale == 1.5F && c.rope_original == 2048);
    assert_ok(read_with(&c, ", \"attention_bias\": true, \"mlp_bias\": true, \"sliding_window\": 9"));
    assert_true(c.qkv_bias && c.out_bias && c.ffn_bias && !c.window); /* a window is Mistral's alone */
}

static void test_mistral(void **state) {
    (void)state;
    ada_config c;
    const char base[] =
        "{\"model_type\": \"mistral\", \"hidden_size\": 64, \"num_hidden_layers\": 1, \"vocab_size\": 5,"
        "\"num_attention_heads\": 16, \"intermediate_size\": 6%s}";
    char text[512];
    snprintf(text, sizeof text, base, "");
    assert_ok(read_config(&c, text));
    assert_true(c.window == 4096 && c.kv_heads == 8 && !c.tie);
    snprintf(text, sizeof text, base, ", \"sliding_window\": null, \"num_key_value_heads\": 4");
    assert_ok(read_config(&c, text));
    assert_true(c.window == 0 && c.kv_heads == 4);
}

static void test_refusals(void **state) {
    (void)state;
    ada_config c;
    assert_fails(read_config(&c, "{}"), ADA_EFORMAT, "model_type");
    assert_fails(read_config(&c, "{\"model_type\": \"bert\"}"), ADA_EUNSUPPORTED,
                 "unknown architecture 'bert' (known: ");
    assert_fails(read_config(&c, "{\"model_type\": \"llama\"}"), ADA_EFORMAT, "'hidden_size'");
    assert_fails(read_with(&c, ", \"hidden_act\": \"mish\""), ADA_EUNSUPPORTED, "'mish'");
    assert_fails(read_with(&c, ", \"quantization_config\": {}"), ADA_EUNSUPPORTED, "quantised");
    assert_fails(read_with(&c, ", \"rope_scaling\": {\"type\": \"longrope\"}"), ADA_EUNSUPPORTED,
                 "'longrope'");
    assert_fails(read_with(&c, ", \"rope_scaling\": {\"type\": \"linear\"}"), ADA_EFORMAT, "factor");
    assert_fails(read_with(&c, ", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 2}"), ADA_EFORMAT,
                 "llama3");
    assert_fails(read_with(&c, ", \"rope_theta\": 0"), ADA_EFORMAT, "theta");
    assert_fails(read_with(&c, ", \"head_dim\": 5"), ADA_EFORMAT, "even");
    assert_fails(read_with(&c, ", \"head_dim\": 2000000000"), ADA_EFORMAT, "head dimension");
    assert_fails(read_with(&c, ", \"rms_norm_eps\": 0"), ADA_EFORMAT, "epsilon");
    assert_fails(read_with(&c, ", \"max_position_embeddings\": -1"), ADA_EFORMAT, "max_position_embeddings");
    assert_ok(read_with(&c, ""));
    c.head_bias = true;
    assert_fails(ada_config_check(&c), ADA_EUNSUPPORTED, "a bias of the head");
    c.head_bias = false, c.residual_scale = 2;
    assert_fails(ada_config_check(&c), ADA_EUNSUPPORTED, "scales of residuals");
    c.residual_scale = 0, c.pos = ADA_POS_BUCKETS, c.buckets = 7, c.max_distance = 9;
    assert_fails(ada_config_check(&c), ADA_EFORMAT, "7 buckets of positions up to a distance of 9");
    c.buckets = 8, c.encoder_layers = 1, c.start_token = c.vocab;
    assert_fails(ada_config_check(&c), ADA_EFORMAT, "the decoder starts from token");
    c.encoder_layers = c.start_token = 0, c.pos = ADA_POS_ROPE, c.attn_cap = -1;
    assert_fails(ada_config_check(&c), ADA_EFORMAT, "soft cap");
    c.attn_cap = 0, c.window_from = -1;
    assert_fails(ada_config_check(&c), ADA_EFORMAT, "sliding window");
    c.window_from = 0, c.rope_local = 0.5;
    assert_fails(ada_config_check(&c), ADA_EFORMAT, "windowed layers");
    c.rope_local = 0, c.rope_dims = 6;
    assert_fails(ada_config_check(&c), ADA_EFORMAT, "rotary dimensions are 6 of 4");
    c.rope_dims = 0, c.kv_heads = 2, c.heads = 3;
    assert_fails(ada_config_check(&c), ADA_EFORMAT, "share");
}

/* ---- rope, where a golden is too short to tell ---- */

static void test_rope(void **state) {
    (void)state;
    float f[4], g[4], cs[4], sn[4];
    ada_config c = {.head_dim = 8, .rope_theta = 10000};
    ada_rope_freqs(&c, NULL, f);
    for (int i = 0; i < 4; i++) assert_true(fabs((double)f[i] - pow(10000, -i / 4.0)) < 1e-7);
    ada_rope_freqs(&c, (const float[]){1, 2, 4, 8}, g);
    for (int i = 0; i < 4; i++) assert_true(g[i] == f[i] / (float)(1 << i));
    c.rope_scaling = ADA_ROPE_DYNAMIC, c.rope_factor = 4;
    ada_rope_freqs(&c, NULL, g);
    assert_memory_equal(f, g, sizeof f);
    ada_rope_row(f, 4, 1.25F, 1000, cs, sn);
    for (int i = 0; i < 4; i++) {
        assert_true(fabs((double)cs[i] - 1.25 * cos((double)(1000 * f[i]))) < 1e-6);
        assert_true(fabs((double)sn[i] - 1.25 * sin((double)(1000 * f[i]))) < 1e-6);
    }
}

/* ---- from one format to another ---- */

static void same_weights(const ada_model *a, const ada_model *b) {
    float x[64], y[64];
    for (int32_t l = 0; l < a->c.layers; l++) {
        const ada_layer *p = &a->stack.layers[l], *q = &b->stack.layers[l];
        const ada_linear *ps[] = {&p->qkv, &p->q, &p->o, &p->up, &p->down},
                         *qs[] = {&q->qkv, &q->q, &q->o, &q->up, &q->down};
        for (size_t i = 0; i < 5; i++) {
            assert_true(!ps[i]->w == !qs[i]->w);
            for (size_t r = 0; ps[i]->w && r < ada_mat_rows(ps[i]->w); r++) {
                ada_mat_row(ps[i]->w, r, x);
                ada_mat_row(qs[i]->w, r, y);
                assert_memory_equal(x, y, ada_mat_cols(ps[i]->w) * sizeof *x);
            }
        }
        assert_memory_equal(p->attn_norm, q->attn_norm, (size_t)a->c.d * sizeof(float));
        assert_memory_equal(p->ffn_norm, q->ffn_norm, (size_t)a->c.d * sizeof(float));
    }
    assert_memory_equal(a->head.norm, b->head.norm, (size_t)a->c.d * sizeof(float));
    for (int32_t i = 0; i < a->c.vocab; i++) {
        ada_model_embed(a, i, x);
        ada_model_embed(b, i, y);
        assert_memory_equal(x, y, (size_t)a->c.d * sizeof *x);
    }
}

static void test_gguf_is_the_same(void **state) {
    (void)state;
    ada_model *a = golden_model("rope_llama3", true), *b = golden_model("rope_llama3.gguf", true);
    same_weights(a, b);
    for (int i = 0; i < a->c.head_dim / 2; i++)
        assert_true(fabs((double)a->stack.inv_freq[i] / (double)b->stack.inv_freq[i] - 1) < 1e-6);
    assert_string_equal(b->name, "golden rope_llama3.gguf");
    ada_model_close(&a);
    ada_model_close(&b);
}

static void imported(const char *source, ada_dtype type) {
    ada_model *a = golden_model(source, type == ADA_F32), *b = NULL;
    const char *da, *db;
    assert_ok(ada_model_import(golden_path(source), NULL, io_path("model.h5"), type));
    assert_ok(ada_model_open(&b, io_path("model.h5"), &(ada_model_opts){.f32 = type == ADA_F32}));
    same_weights(a, b);
    assert_memory_equal(a->stack.inv_freq, b->stack.inv_freq, (size_t)a->c.head_dim / 2 * sizeof(float));
    assert_ok(ada_model_digest(a, &da));
    assert_ok(ada_model_digest(b, &db));
    assert_string_equal(da, db);
    assert_string_equal(a->name, b->name);
    ada_model_close(&a);
    ada_model_close(&b);
}

/* What has a matrix's extents and is read as a vector is not rounded on the way. */
static void imported_vectors(const char *source) {
    ada_model *a = golden_model(source, false), *b = NULL;
    assert_ok(ada_model_import(golden_path(source), NULL, io_path("model.h5"), ADA_BF16));
    assert_ok(ada_model_open(&b, io_path("model.h5"), NULL));
    const ada_stack *x[] = {&a->stack, &a->encoder}, *y[] = {&b->stack, &b->encoder};
    size_t n = (size_t)a->c.max_positions * (size_t)a->c.d;
    size_t m = (size_t)a->c.heads * ada_attn_bias_width(a->c.max_distance);
    bool found = false;
    for (int i = 0; i < 2; i++) {
        if (x[i]->positions) assert_memory_equal(x[i]->positions, y[i]->positions, n * sizeof(float));
        if (x[i]->bias) assert_memory_equal(x[i]->bias[0].at, y[i]->bias[0].at, m * sizeof(float));
        found |= x[i]->positions || x[i]->bias;
    }
    assert_true(found);
    ada_model_close(&a);
    ada_model_close(&b);
}

static void test_import(void **state) {
    (void)state;
    imported_vectors("gpt2");
    imported_vectors("t5_gated");
    imported_vectors("umt5");
    imported("untied_bias", ADA_F32);
    imported("tied_gqa", ADA_BF16);
    imported("rope_llama3.gguf", ADA_BF16);
    imported("rope_linear", ADA_F32);
    assert_fails(ada_model_import(golden_path("tied_gqa"), NULL, io_path("x.h5"), ADA_I8), ADA_EINVAL,
                 "bf16 or f32");
    assert_fails(ada_model_import(plain_folder("", standard, 3), NULL, io_path("x.h5"), ADA_F32),
                 ADA_EMISMATCH, "missing");
    ada_model *m = NULL;
    assert_fails(ada_model_open(&m, io_path("x.h5"), NULL), ADA_EIO, "x.h5");
}

static void test_describe(void **state) {
    (void)state;
    ada_model *m = golden_model("window", true);
    ada_json *j = NULL;
    size_t params = 0;
    for (size_t i = 0; i < ada_tensors_count(m->file); i++)
        params += ada_tensor_count(ada_tensors_at(m->file, i));
    assert_ok(ada_model_describe(m, &j));
    assert_int_equal(ada_json_int(ada_json_get(j, "parameters"), 0), params);
    assert_int_equal(ada_json_int(ada_json_get(j, "window"), 0), 5);
    assert_string_equal(ada_json_str(ada_json_get(j, "name"), ""), "window");
    assert_string_equal(ada_json_str(ada_json_get(j, "architecture"), ""), "llama");
    assert_false(ada_json_bool(ada_json_get(j, "tied"), true));
    ada_json_close(&j);
    ada_model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),
        cmocka_unit_test(test_wrong_environment),
        cmocka_unit_test(test_tensors_are_claimed),
        cmocka_unit_test(test_what_is_ignored),
        cmocka_unit_test(test_untied),
        cmocka_unit_test(test_switches),
        cmocka_unit_test(test_mistral),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_gguf_is_the_same),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
