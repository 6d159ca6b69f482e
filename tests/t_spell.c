/* SPDX-License-Identifier: Apache-2.0
 * A connector that learns to spell: its loss and gradient against their formula in double, for a decoder and
 * an encoder-decoder; it learns; what has nothing to spell, or too few rows for it, is refused. Threads and
 * resumption: bits.c. */
#include "engine/adapter.h"
#include "engine/images.h"
#include "engine/train.h"
#include "tests/tiny.h"

enum { ROWS = 2, TOKENS = 4, D = 32, IN = 96 };
static const char *const said[ROWS] = {" yes", " no"}; /* the second leaves a row for a line feed */

typedef struct scene {
    ada_model *m;
    ada_adapter *a;
    ada_trainer *t;
    char data[512], composed[512], picture[ROWS][1024];
} scene;

static void write_rows(scene *s, const char *more) {
    ada_buf b = {0};
    for (int i = 0; i < ROWS; i++)
        assert_ok(ada_buf_printf(&b, "{\"image\": \"%s\", \"prompt\": \"it is\", \"completion\": \"%s\"}\n",
                                 s->picture[i], said[i]));
    assert_ok(ada_buf_puts(&b, more));
    assert_ok(ada_write_file(tiny_path(s->data, "spell.jsonl"), b.data, b.len));
    ada_buf_free(&b);
}

static scene scene_open(void) {
    scene s = {0};
    char text[512], tower[1024];
    (void)snprintf(tower, sizeof tower, "%s", io_tests_path("golden/vit"));
    for (int i = 0; i < ROWS; i++)
        (void)snprintf(s.picture[i], sizeof s.picture[i], "%s",
                       io_tests_path(i ? "golden/vlm/llava_clip/b.png" : "golden/vlm/llava_clip/a.png"));
    ada_compose_opts o = {
        .vision = tower, .text = tiny_path(text, "model"), .pixel_shuffle = 2, .dtype = ADA_F32};
    assert_ok(ada_model_compose(&o, tiny_path(s.composed, "composed.h5")));
    s.m = tiny_open(s.composed, true);
    assert_ok(ada_adapter_new(&s.a, s.m, &(ada_adapter_opts){.method = "connector"}));
    write_rows(&s, "");
    return s;
}

static void scene_close(scene *s) {
    ada_trainer_close(&s->t);
    ada_adapter_close(&s->a);
    ada_model_close(&s->m);
}

static ada_status open_run(scene *s, const char *loss, int64_t steps) {
    ada_trainer_close(&s->t);
    return ada_trainer_open(&s->t, s->m, s->a,
                            &(ada_train_opts){.data = s->data,
                                              .eval_data = steps > 1 ? s->data : NULL,
                                              .loss = loss,
                                              .steps = steps,
                                              .batch = ROWS,
                                              .clip = -1,
                                              .lr = 0.01});
}

/* What the connector reads of each image. */
static void inputs(scene *s, float *x) {
    ada_images *im;
    assert_ok(ada_images_open(&im, s->m->vision, NULL, 1000));
    for (int i = 0; i < ROWS; i++) {
        ada_picture p;
        int32_t rows[TOKENS];
        assert_ok(ada_images_add(im, s->picture[i], &p));
        assert_int_equal(p.rows, TOKENS);
        assert_ok(ada_images_ready(im));
        for (int k = 0; k < TOKENS; k++) rows[k] = p.first + k;
        assert_ok(ada_images_read(im, rows, TOKENS, x + (size_t)i * TOKENS * IN));
    }
    ada_images_close(&im);
}

/* Row k of image i should be this letter. */
static int32_t letter(int i, int k) {
    int at = k - TOKENS + (int)strlen(said[i]);
    return tiny_id(at < 0 ? '\n' : said[i][at]);
}

/* The share of the letters' squared length by which x·W + b misses them; g [IN·D + D]: its gradient. */
static double formula(const scene *s, const float *x, double *g) {
    const float *w = s->a->params[0].p, *b = s->a->params[1].p;
    double off = 0, of = 0;
    memset(g, 0, (IN * D + D) * sizeof *g);
    for (int i = 0; i < ROWS * TOKENS; i++) {
        float e[D];
        ada_model_embed(s->m, letter(i / TOKENS, i % TOKENS), e);
        for (int j = 0; j < D; j++) {
            double y = b[j];
            for (int k = 0; k < IN; k++) y += (double)x[i * IN + k] * (double)w[k * D + j];
            double miss = y - (double)e[j];
            off += miss * miss, of += (double)e[j] * (double)e[j];
            for (int k = 0; k < IN; k++) g[k * D + j] += 2 * miss * (double)x[i * IN + k];
            g[IN * D + j] += 2 * miss;
        }
    }
    for (int i = 0; i < IN * D + D; i++) g[i] /= of;
    return off / of;
}

static void is_its_formula(void **state) {
    (void)state;
    static float x[ROWS * TOKENS * IN];
    static double g[IN * D + D];
    ada_pass_sum sum;
    scene s = scene_open();
    assert_int_equal(s.m->c.d, D);
    assert_ok(open_run(&s, "embeddings", 1));
    inputs(&s, x);
    double want = formula(&s, x, g), most = 0, worst = 0;
    assert_ok(ada_trainer_gradients(s.t, 0, &sum));
    assert_true(fabs(sum.loss / want - 1) < 1e-5);
    for (int i = 0; i < IN * D + D; i++) {
        double had = (double)(i < IN * D ? s.a->params[0].g[i] : s.a->params[1].g[i - IN * D]);
        most = fmax(most, fabs(g[i])), worst = fmax(worst, fabs(g[i] - had));
    }
    if (worst > 1e-5 * most) fail_msg("a gradient is off by %g of %g", worst, most);
    scene_close(&s);
}

static void it_learns(void **state) {
    (void)state;
    double first = 0;
    ada_report r;
    ada_status st;
    scene s = scene_open();
    assert_ok(open_run(&s, "embeddings", 200));
    while ((st = ada_trainer_step(s.t, &r)) == ADA_OK)
        if (r.step == 1) first = r.loss;
    assert_int_equal(st, ADA_DONE);
    assert_ok(open_run(&s, "embeddings", 2));
    assert_ok(ada_trainer_step(s.t, &r));
    assert_true(first > 0.5 && r.loss < 0.02 && fabs(r.eval_loss) < 0.05);
    ada_train_plan plan;
    assert_ok(ada_trainer_plan(s.t, &plan));
    assert_true(plan.flops > 0 && plan.seconds > 0);
    scene_close(&s);
}

static void refusals(void **state) {
    (void)state;
    ada_adapter *connector;
    scene s = scene_open();
    assert_fails(open_run(&s, "words", 1), ADA_EINVAL, "unknown loss 'words'");
    write_rows(&s, "{\"prompt\": \"it is\", \"completion\": \" so\"}\n");
    assert_fails(open_run(&s, "embeddings", 1), ADA_EINVAL,
                 "spell.jsonl:3: a completion of 3 tokens for 0 rows");
    ada_buf b = {0};
    assert_ok(ada_buf_printf(&b, "{\"image\": \"%s\", \"prompt\": \"it is\", \"completion\": \"abcde\"}\n",
                             s.picture[0]));
    write_rows(&s, b.data);
    ada_buf_free(&b);
    assert_fails(open_run(&s, "embeddings", 1), ADA_EINVAL,
                 "spell.jsonl:3: a completion of 5 tokens for 4 rows");
    connector = s.a, s.a = NULL;
    assert_ok(ada_adapter_new(&s.a, s.m, NULL));
    assert_fails(open_run(&s, "embeddings", 1), ADA_EINVAL, "of method 'connector' alone");
    ada_adapter_close(&connector);
    scene_close(&s);
}

int main(void) {
    static const struct CMUnitTest tests[] = {cmocka_unit_test(is_its_formula), cmocka_unit_test(it_learns),
                                              cmocka_unit_test(refusals)};
    return cmocka_run_group_tests_name("spell: decoder", tests, tiny_begin, io_test_end) ||
           cmocka_run_group_tests_name("spell: encoder-decoder", tests, tiny_begin_pair, io_test_end);
}
