/* SPDX-License-Identifier: Apache-2.0
 * libFuzzer target: any bytes as JSONL give rows whose strings can be read, or a status and one line.
 * The first byte chooses the options. Owns nothing. Must not know: keys.
 * Invariant: no input crashes, hangs or leaks; a row is of one kind, its answer is one of its choices, and
 * it has a mark for each image. */
#include "io/dataset.h"
#include "tests/fuzz.h"

static size_t letters(const char *s) {
    return s != NULL ? strlen(s) : 0;
}

static size_t marks(const char *s) {
    size_t n = 0;
    for (; s && (s = strstr(s, ADA_IMAGE_MARK)); s += strlen(ADA_IMAGE_MARK)) n++;
    return n;
}

static void check_row(const ada_row *r) {
    size_t n = letters(r->prompt) + letters(r->completion) + letters(r->text);
    size_t places = marks(r->prompt) + marks(r->text);
    if ((r->prompt != NULL) + (r->text != NULL) + (r->messages != NULL) != 1) abort();
    for (size_t i = 0; i < r->nmessages; i++) {
        n += strlen(r->messages[i].role) + strlen(r->messages[i].content);
        places += marks(r->messages[i].content);
    }
    if (r->nimages && places != r->nimages) abort();
    for (size_t i = 0; i < r->nimages; i++)
        if (!*r->images[i]) abort();
    for (size_t i = 0; i < r->nchoices; i++) n += strlen(r->choices[i]);
    if (n == SIZE_MAX || r->line == 0 || r->answer < -1 ||
        (r->answer >= 0 && (size_t)r->answer >= r->nchoices))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    ada_dataset *d = NULL;
    ada_dataset_opts o = {0};
    if (n > 0 && (data[0] & 0xf8) == 0) {
        o.allow_no_target = data[0] & 1;
        o.limit = data[0] & 2 ? 3 : 0;
        o.prompt_key = data[0] & 4 ? "text" : NULL;
        data++, n--;
    }
    ada_status st = ada_dataset_open(&d, fuzz_file(data, n), &o);
    fuzz_check(st);
    if ((st == ADA_OK) != (d != NULL)) abort();
    for (size_t i = 0; st == ADA_OK && i < ada_dataset_count(d); i++) check_row(ada_dataset_at(d, i));
    if (st == ADA_OK && strlen(ada_dataset_digest(d)) != 64) abort();
    ada_dataset_close(&d);
    return 0;
}
