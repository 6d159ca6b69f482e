/* SPDX-License-Identifier: Apache-2.0
 * What is wrong with files that the command is given: rows whose image is at fault, models that see, vision
 * towers, composed models. Each fault is a small change of a committed tiny model, made here. Owns: the
 * changes, the runs and their limits. Must not know: why a file is refused.
 * Invariant: each fault gives its exit code of status.def and one line, with the row's file:line where a row
 * is at fault, nothing on standard output, no file of results, within bounds of time and memory. */
#include "tests/io_test.h"
#include "io/h5.h"
#include "io/sha.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Sanitizers take addresses and memory of their own. */
#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#elif defined(__clang__)
enum { SANITIZED = __has_feature(address_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

enum {
    SECONDS = 60,
    SPACE_MB = 1024,    /* of addresses, a limit that the system keeps */
    PEAK_MB = 48,       /* in memory: 19 MB where a tiny model is opened and nothing is wrong */
    PEAK_LARGE_MB = 540 /* 8 bytes for each of the 2^26 pixels that a picture may have, beside that */
};

/* Bytes with NULs among them. */
typedef struct text {
    const char *p;
    size_t n;
} text;
#define T(s)                                                                                                 \
    { s, sizeof s - 1 }

/* ---- a run ---- */

typedef struct outcome {
    int code; /* -1: killed by a signal */
    char out[4096], err[4096];
    long peak; /* KB */
} outcome;

static char tiny[1024]; /* a model of text alone */
static bool blind;      /* the child, though root, may open only what its mode allows */

static _Noreturn void child(char *const *args) {
    const struct rlimit space = {(rlim_t)SPACE_MB << 20, (rlim_t)SPACE_MB << 20};
    int in = open("/dev/null", O_RDONLY), out = creat("stdout", 0666), err = creat("stderr", 0666);
    if (!SANITIZED && setrlimit(RLIMIT_AS, &space) != 0) _exit(97);
    enum { DAC_OVERRIDE = 1, DAC_READ_SEARCH = 2 };
    if (blind && (prctl(PR_CAPBSET_DROP, DAC_OVERRIDE) != 0 || prctl(PR_CAPBSET_DROP, DAC_READ_SEARCH) != 0))
        _exit(77);
    alarm(SECONDS);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(98);
    execv(getenv("ADALINK"), args);
    _exit(99);
}

static void take(const char *name, char *to, size_t room) {
    char *p;
    size_t n;
    assert_ok(ada_read_file(name, &p, &n));
    (void)snprintf(to, room, "%s", p);
    ada_os.release(p);
}

static outcome run(const char *const *args) {
    outcome o;
    int status;
    struct rusage used;
    pid_t pid = fork();
    if (pid == 0) child((char *const *)(uintptr_t)args);
    assert_int_equal(wait4(pid, &status, 0, &used), pid);
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    o.peak = used.ru_maxrss;
    take("stdout", o.out, sizeof o.out);
    take("stderr", o.err, sizeof o.err);
    return o;
}

/* Whether the run was refused as it must be; says what is not so. */
static bool refused(const char *what, const char *const *args, int code, const char *const *words,
                    long peak_mb) {
    outcome o = run(args);
    const char *end = strchr(o.err, '\n');
    bool good = o.code == code && end && end[1] == 0 && strncmp(o.err, "adalink ", 8) == 0 && !o.out[0];
    for (; *words; words++)
        if (!strstr(o.err, *words)) {
            good = false;
            print_error("no '%s' in: ", *words);
        }
    if (!SANITIZED && o.peak > peak_mb << 10) good = false;
    if (!good)
        print_error("%s %s: exit %d for %d, %ld KB, said '%s%s'\n", what, args[1], o.code, code, o.peak,
                    o.out, o.err);
    return good;
}

/* ---- files ---- */

static text read_text(const char *path) {
    char *p;
    text t;
    assert_ok(ada_read_file(path, &p, &t.n));
    t.p = p;
    return t;
}

static void write_text(const char *path, text t) {
    (void)unlink(path);
    assert_ok(ada_write_file(path, t.p, t.n));
}

/* Every `from` becomes `to`; at least one there must be. */
static text replaced(text t, text from, text to) {
    ada_buf b = {0};
    const char *p = t.p, *end = t.p + t.n, *at;
    int times = 0;
    for (; (at = memmem(p, (size_t)(end - p), from.p, from.n)); p = at + from.n, times++) {
        assert_ok(ada_buf_add(&b, p, (size_t)(at - p)));
        assert_ok(ada_buf_add(&b, to.p, to.n));
    }
    assert_ok(ada_buf_add(&b, p, (size_t)(end - p)));
    if (times == 0) fail_msg("nothing to replace: '%s'", from.p);
    ada_os.release((char *)(uintptr_t)t.p);
    return (text){b.data, b.len};
}

static void link_one(void *ctx, const char *name) {
    char from[1200], to[600];
    const char *const *folders = ctx;
    if (name[0] == '.') return;
    (void)snprintf(from, sizeof from, "%s/%s", folders[0], name);
    (void)snprintf(to, sizeof to, "%s/%s", folders[1], name);
    assert_int_equal(symlink(from, to), 0);
}

static void wipe(const char *path) {
    (void)nftw(path, io_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A folder "m" with the files of a golden one, as links. */
static void link_folder(const char *golden) {
    char name[200];
    (void)snprintf(name, sizeof name, "golden/%s", golden);
    const char *folders[2] = {io_tests_path(name), "m"};
    wipe("m");
    assert_int_equal(mkdir("m", 0755), 0);
    assert_int_equal(ada_os.list(folders[0], link_one, (void *)folders), 0);
}

/* ---- faults of a model's files ---- */

typedef enum { CHANGED, CUT, GONE, ANEW } change;

typedef struct fault {
    const char *file;
    change how;
    text from, to;
    int code;
    const char *words;
} fault;

#define R(file, from, to, code, words)                                                                       \
    { file, CHANGED, T(from), T(to), code, words }
#define HALF(file, code, words)                                                                              \
    { file, CUT, T(""), T(""), code, words }
#define NONE(file, code, words)                                                                              \
    { file, GONE, T(""), T(""), code, words }
#define NEW(file, to, code, words)                                                                           \
    { file, ANEW, T(""), T(to), code, words }

static void reseal(text t);

static void spoil(const fault *f, const char *path) {
    text t = read_text(path), none = f->to;
    if (f->how == CHANGED) t = replaced(t, f->from, f->to);
    if (f->how == CHANGED && strcmp(path + strlen(path) - 3, ".h5") == 0) reseal(t);
    if (f->how == CUT) t.n /= 2;
    (void)unlink(path);
    if (f->how != GONE) write_text(path, f->how == ANEW ? none : t);
    ada_os.release((char *)(uintptr_t)t.p);
}

static const char good_rows[] = "{\"prompt\": \"cat\", \"completion\": \" is\", \"image\": \"m/a.png\"}\n";

static void write_rows(const char *rows) {
    write_text("rows.jsonl", (text){rows, strlen(rows)});
}

/* The golden folder, with each fault in turn, does not open. */
static void spoil_each(const char *golden, const fault *list, size_t n) {
    int wrong = 0;
    write_rows(good_rows);
    for (size_t i = 0; i < n; i++) {
        char path[300], what[300];
        link_folder(golden);
        (void)snprintf(path, sizeof path, "m/%s", list[i].file);
        (void)snprintf(what, sizeof what, "%s, %s: '%.60s' to '%.60s'", golden, list[i].file, list[i].from.p,
                       list[i].to.p);
        spoil(&list[i], path);
        const char *words[] = {list[i].words, NULL};
        wrong += !refused(what,
                          (const char *const[]){"adalink", "eval", "-m", "m", "-d", "rows.jsonl", "-q", NULL},
                          list[i].code, words, PEAK_MB);
    }
    assert_int_equal(wrong, 0);
}
#define SPOIL_EACH(golden, list) spoil_each(golden, list, sizeof(list) / sizeof *(list))

static const fault llava[] = {
    /* config.json */
    NONE("config.json", 4, "config.json"),
    HALF("config.json", 4, "config.json:"),
    NEW("config.json", "[]", 4, "is no JSON object"),
    R("config.json", "\"llava\"", "\"lavae\"", 5, "lavae"),
    R("config.json", "vision_config", "visual_config", 4, "has no object 'vision_config'"),
    R("config.json", "text_config", "texts_config", 4, "has no object 'text_config'"),
    R("config.json", "\"text_config\": {", "\"text_config\": 7, \"other\": {", 4, "no object 'text_config'"),
    R("config.json", "\"vision_config\": {", "\"vision_config\": [], \"other\": {", 4,
      "no object 'vision_config'"),
    R("config.json", "clip_vision_model", "sam_vision_model", 5, "sam_vision_model"),
    R("config.json", "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", 5, "mamba"),
    R("config.json", "\"hidden_size\": 16", "\"hidden_size\": 24", 6, "wanted"),
    R("config.json", "\"hidden_size\": 32", "\"hidden_size\": 64", 6, "wanted"),
    R("config.json", "\"hidden_size\": 16", "\"hidden_size\": 0", 4, "hidden size"),
    R("config.json", "\"hidden_size\": 16", "\"hidden_size\": -16", 4, "hidden_size"),
    R("config.json", "\"hidden_size\": 16", "\"hidden_size\": \"16\"", 4, "hidden_size"),
    R("config.json", "\"hidden_size\": 16", "\"hidden_size\": 1e9", 4, "hidden size"),
    R("config.json", "\"hidden_size\": 16", "\"hidden_size\": 2147483647", 4, "hidden size"),
    R("config.json", "\"hidden_size\": 32,", "", 4, "hidden_size"),
    R("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", 6, "missing"),
    R("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", 6, "do not have"),
    R("config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2000000000", 4, "layers"),
    R("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", 6, "missing"),
    R("config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 3", 6, "wanted"),
    R("config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 0", 4, "heads"),
    R("config.json", "\"patch_size\": 4", "\"patch_size\": 0", 4, "patch"),
    R("config.json", "\"patch_size\": 4", "\"patch_size\": 3", 6, "wanted"),
    R("config.json", "\"patch_size\": 4", "\"patch_size\": 60000", 4, "patch"),
    R("config.json", "\"image_size\": 12", "\"image_size\": 60000", 4, "image height"),
    R("config.json", "\"image_size\": 12", "\"image_size\": 16", 6, "wanted"),
    R("config.json", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": -9", 4, "layer"),
    R("config.json", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": [-2, -1]", 6,
      "has not the shape"),
    R("config.json", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": [-9]", 4, "layer -9"),
    R("config.json", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": []", 4, "lists 0 layers"),
    R("config.json", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": [-2, 0.5]", 4,
      "vision_feature_layer"),
    R("config.json", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": \"last\"", 4,
      "vision_feature_layer"),
    R("config.json", "\"vision_feature_select_strategy\": \"default\"",
      "\"vision_feature_select_strategy\": \"cls\"", 5, "'cls'"),
    R("config.json", "\"projector_hidden_act\": \"gelu\"", "\"projector_hidden_act\": \"mish\"", 5, "mish"),
    R("config.json", "\"vocab_size\": 59", "\"vocab_size\": 20", 6, "wanted"),
    R("config.json", "\"image_token_index\": 3", "\"image_token_index\": -1", 4, "image_token_index"),
    R("config.json", "\"image_token_index\": 3", "\"image_token_index\": \"3\"", 4, "image_token_index"),
    R("config.json", "\"image_token_index\": 3", "\"image_token_index\": 3.5", 4, "image_token_index"),
    R("config.json", "\"image_token_index\": 3", "\"image_token_index\": 54", 6, "has 54 ids"),
    R("config.json", "\"image_token_index\": 3", "\"image_token_index\": 2147483647", 6, "has 54 ids"),
    /* model.safetensors */
    NONE("model.safetensors", 4, "m"),
    HALF("model.safetensors", 4, "model.safetensors"),
    NEW("model.safetensors", "", 4, "is empty"),
    R("model.safetensors", "projector.linear_1.weight", "projector.linear_9.weight", 6, "linear_9"),
    R("model.safetensors", "multi_modal_projector.linear_1.w", "multi_modal_projectos.linear_1.w", 6,
      "projectos"),
    R("model.safetensors", "vision_tower.", "vision_towel.", 6, "vision_towel."),
    R("model.safetensors", "linear_1.weight\":{\"dtype\":\"F32\",\"shape\":[32,16]",
      "linear_1.weight\":{\"dtype\":\"F32\",\"shape\":[16,32]", 6, "has not the shape"),
    R("model.safetensors", "linear_1.weight\":{\"dtype\":\"F32\",\"shape\":[32,16]",
      "linear_1.weight\":{\"dtype\":\"I32\",\"shape\":[32,16]", 5, "I32"),
    R("model.safetensors", "linear_2.bias\":{\"dtype\":\"F32\",\"shape\":[32]",
      "linear_2.bias\":{\"dtype\":\"F32\",\"shape\":[31]", 4, "linear_2.bias"),
    R("model.safetensors", "linear_2.bias", "linear_3.bias", 6, "linear_3.bias"),
    R("model.safetensors", "patch_embedding.weight", "patch_embeddinG.weight", 6, "patch_embedding"),
    R("model.safetensors", "embed_tokens.weight", "embed_tokenS.weight", 6, "embed_token"),
    /* processor_config.json */
    NONE("processor_config.json", 4, "neither preprocessor_config.json nor"),
    HALF("processor_config.json", 4, "processor_config.json:"),
    R("processor_config.json", "\"image_processor\"", "\"image_processors\"", 4, "neither preprocessor"),
    R("processor_config.json", "\"image_processor\": {", "\"image_processor\": 7, \"x\": {", 4,
      "image_processor_type"),
    R("processor_config.json", "CLIPImageProcessor", "FuyuImageProcessor", 5, "FuyuImageProcessor"),
    R("processor_config.json", "\"shortest_edge\": 12", "\"shortest_edge\": 60000", 5, "more than the limit"),
    R("processor_config.json", "\"height\": 12,", "", 4, "crop_size"),
    R("processor_config.json", "\"resample\": 3", "\"resample\": 9", 4, "resample"),
    R("processor_config.json", "\"do_resize\": true", "\"do_resize\": \"yes\"", 4, "do_resize"),
    R("processor_config.json", "0.26862954,", "0,", 4, "image_std"),
    R("processor_config.json", "0.26862954,", "", 4, "image_std"),
    /* the tokenizer */
    HALF("tokenizer.json", 4, "tokenizer.json:"),
    NONE("tokenizer.json", 5, "cannot read text"),
    NEW("tokenizer.json", "{}", 4, "tokenizer"),
};

static const fault tiles[] = {
    R("config.json", "\"scale_factor\": 2", "\"scale_factor\": 0", 4, "pixel shuffle"),
    R("config.json", "\"scale_factor\": 2", "\"scale_factor\": 65", 4, "pixel shuffle"),
    R("config.json", "\"scale_factor\": 2", "\"scale_factor\": \"2\"", 4, "scale_factor"),
    R("config.json", "\"scale_factor\": 2", "\"scale_factor\": 3", 6, "shape"),
    R("config.json", "\"scale_factor\": 2", "\"scale_factor\": 46341", 4, "pixel shuffle"),
    R("config.json", "\"image_token_id\": 3", "\"image_token_id\": 60", 6, "image_token_id"),
    R("model.safetensors", "modality_projection", "modality_projectiox", 6, "modality_projectiox"),
};

static void models_that_see(void **state) {
    (void)state;
    SPOIL_EACH("vlm/llava_clip", llava);
    SPOIL_EACH("vlm/idefics3_tiles", tiles);
}

/* ---- towers ---- */

static const fault towers[] = {
    HALF("v.gguf", 4, "v.gguf"),
    NONE("v.gguf", 3, "v.gguf"),
    NEW("v.gguf", "GGUF", 4, "v.gguf"),
    NEW("v.gguf", "", 4, "is empty"),
    R("v.gguf", "architecture\x08\0\0\0\x04\0\0\0\0\0\0\0clip",
      "architecture\x08\0\0\0\x04\0\0\0\0\0\0\0clap", 5, "clap"),
    R("v.gguf", "clip.has_vision_encoder", "clip.has_audition_encode", 4, "v.gguf"),
    R("v.gguf", "clip.has_vision_encoder\x07\0\0\0\1", "clip.has_vision_encoder\x07\0\0\0\0", 5,
      "no vision tower"),
    R("v.gguf", "clip.vision.block_count\x04\0\0\0\x03", "clip.vision.block_count\x04\0\0\0\x02", 6,
      "do not have"),
    R("v.gguf", "clip.vision.block_count\x04\0\0\0\x03", "clip.vision.block_count\x04\0\0\0\x04", 6,
      "missing"),
    R("v.gguf", "clip.vision.block_count\x04\0\0\0\x03\0\0\0",
      "clip.vision.block_count\x04\0\0\0\xff\xff\xff\x7f", 4, "layers"),
    R("v.gguf", "clip.vision.block_count", "clip.vision.block_county", 4, "v.gguf"),
    R("v.gguf", "clip.vision.block_count", "clip.vision.block_counT", 4, "block_count"),
    R("v.gguf", "clip.vision.attention.head_count", "clip.vision.attention.head_counT", 4, "head_count"),
    R("v.gguf", "clip.vision.patch_size", "clip.vision.patch_sizE", 4, "patch_size"),
    R("v.gguf", "clip.vision.image_size", "clip.vision.image_sizE", 4, "image_size"),
    R("v.gguf", "clip.vision.image_mean", "clip.vision.image_meaN", 4, "image_mean"),
    R("v.gguf", "clip.vision.image_std", "clip.vision.image_stD", 4, "image_std"),
    R("v.gguf", "v.patch_embd.weight", "v.patch_embd.weighT", 6, "patch_embd"),
    R("v.gguf", "v.position_embd.weight", "v.position_embd.weighT", 6, "position_embd"),
    R("v.gguf", "v.blk.1.ffn_up.weight", "v.blk.9.ffn_up.weight", 6, "blk.1.ffn_up"),
    R("v.gguf", "v.blk.1.ln1.bias", "v.blk.1.ln0.bias", 6, "ln1.bias"),
    R("v.gguf", "v.blk.1.ln1.bias", "v.blk.0.ln1.bias", 4, "v.blk.0.ln1.bias"),
};

/* A tower's file with each fault in turn cannot be composed with, nor looked at; no file is left. */
static void towers_in_gguf(void **state) {
    (void)state;
    int wrong = 0;
    const char *words[] = {NULL, NULL};
    text good = read_text(io_tests_path("golden/clip.gguf"));
    (void)snprintf(tiny, sizeof tiny, "%s", io_tests_path("cli/tiny"));
    for (size_t i = 0; i < sizeof towers / sizeof *towers; i++) {
        const fault *f = &towers[i];
        char what[200];
        (void)snprintf(what, sizeof what, "clip.gguf: '%.60s' to '%.60s'", f->from.p, f->to.p);
        write_text("v.gguf", good);
        spoil(f, "v.gguf");
        words[0] = f->words;
        wrong += !refused(what,
                          (const char *const[]){"adalink", "compose", "--vision", "v.gguf", "--text", tiny,
                                                "-o", "none.h5", "-q", NULL},
                          f->code, words, PEAK_MB);
        wrong += access("none.h5", F_OK) == 0;
    }
    ada_os.release((char *)(uintptr_t)good.p);
    assert_int_equal(wrong, 0);
}

/* ---- composed models ---- */

/* The digest of n bytes in hex over the one that stands at `at`. */
static void redigest(char *at, const void *p, size_t n) {
    char hex[65];
    assert_ok(ada_sha_of(p, n, hex));
    memcpy(at, hex, 64);
}

/* A changed index and metadata agree again with their digests, as if they had been written so. */
static void reseal(text t) {
    static const char prefix[] = "adalink:index:";
    char *file = (char *)(uintptr_t)t.p, *seal = file + ada_h5_find_seal(t.p, t.n, prefix), *meta;
    unsigned long long at, n, meta_at, meta_n;
    assert_int_equal(sscanf(seal, "adalink:index:%16llx:%16llx:", &at, &n), 2);
    meta = memmem(file + at, n, "\"meta\": ", 8);
    assert_non_null(meta);
    assert_int_equal(sscanf(meta, "\"meta\": {\"offset\": %llu, \"bytes\": %llu", &meta_at, &meta_n), 2);
    redigest(strstr(meta, "sha256\": \"") + 10, file + meta_at, meta_n);
    redigest(seal + sizeof prefix - 1 + 34, file + at, n);
}

static const fault composed[] = {
    HALF("c.h5", 4, "c.h5"),
    NONE("c.h5", 3, "c.h5"),
    NEW("c.h5", "", 4, "is empty"),
    NEW("c.h5", "\x89HDF\r\n\x1a\n", 4, "no imported model"),
    R("c.h5", "connector.weight_1\"", "connector.weight_9\"", 6, "connector.weight_9"),
    R("c.h5", "\"connector.weight_2\"", "\"text.connector.wei\"", 6, "onnector.wei"),
    R("c.h5", "\"connector.bias_1\"", "\"connector.mean\",\"\":\"", 4, "c.h5"),
    R("c.h5", "\"connector.weight_1\", \"dtype\": \"F32\", \"shape\": [96, 32]",
      "\"connector.weight_1\", \"dtype\": \"F32\", \"shape\": [32, 96]", 6, "has not the shape [96, 32]"),
    R("c.h5", "\"connector.weight_1\", \"dtype\": \"F32\", \"shape\": [96, 32]",
      "\"connector.weight_1\", \"dtype\": \"F32\", \"shape\": [99, 99]", 4, "connector.weight_1"),
    R("c.h5", "\"connector.weight_1\", \"dtype\": \"F32\", \"shape\": [96, 32]",
      "\"connector.weight_1\", \"dtype\": \"F32\", \"shape\": [1024  ]", 6, "has not the shape"),
    R("c.h5", "\"connector.weight_1\", \"dtype\": \"F32\"", "\"connector.weight_1\", \"dtype\": \"I32\"", 5,
      "I32"),
    R("c.h5", "\"connector.weight_1\", \"dtype\": \"F32\"", "\"connector.weight_1\", \"dtype\": \"Q32\"", 4,
      "wrong row"),
    R("c.h5", "\"vision.encoder.layers.1.self_attn.q_proj.weight\"",
      "\"vision.encoder.layers.7.self_attn.q_proj.weight\"", 6, "q_proj.weight"),
    R("c.h5", "\"vision.embeddings.patch_embedding.weight\"", "\"vision_embeddings.patch_embedding.weight\"",
      6, "vision_embeddings"),
    R("c.h5", "\"text.model.norm.weight\"", "\"text.model.nrom.weight\"", 6, "norm.weight"),
    R("c.h5", "\"shape\": [265, 32]", "\"shape\": [265, 31]", 6, "wanted"),
    R("c.h5", "adalink_vlm", "adalink_vml", 5, "adalink_vml"),
    R("c.h5", "\"kind\": \"mlp2\"", "\"kind\": \"mlp3\"", 4, "connector of kind 'mlp3'"),
    R("c.h5", "\"pixel_shuffle\": 2", "\"pixel_shuffle\": 0", 4, "pixel shuffle"),
    R("c.h5", "\"pixel_shuffle\": 2", "\"pixel_shuffle\": 4", 6, "has not the shape"),
    R("c.h5", "\"pixel_shuffle\": 2", "\"pixel_shuffle\":-2", 4, "pixel_shuffle"),
    R("c.h5", "\"feature_rows\": \"patches\"", "\"feature_rows\": \"patchez\"", 4, "patchez"),
    R("c.h5", "\"feature_layer\": 0", "\"feature_layer\": 9", 4, "layer 9"),
    R("c.h5", "\"vision\": {", "\"visage\": {", 4, "has no 'vision'"),
    R("c.h5", "\"text\": {", "\"Text\": {", 4, "has no 'text'"),
    R("c.h5", "ViTImageProcessor", "VIMImageProcessor", 5, "VIMImageProcessor"),
};

static void composed_models(void **state) {
    (void)state;
    char vision[1024];
    int wrong = 0;
    (void)snprintf(vision, sizeof vision, "%s", io_tests_path("golden/siglip"));
    (void)snprintf(tiny, sizeof tiny, "%s", io_tests_path("cli/tiny"));
    outcome o =
        run((const char *const[]){"adalink", "compose", "--vision", vision, "--text", tiny, "--connector",
                                  "mlp2", "--pixel-shuffle", "2", "-o", "good.h5", "-q", NULL});
    assert_string_equal(o.err, "");
    assert_int_equal(o.code, 0);
    link_folder("vlm/llava_clip");
    write_rows(good_rows);
    text good = read_text("good.h5");
    for (size_t i = 0; i < sizeof composed / sizeof *composed; i++) {
        const fault *f = &composed[i];
        char what[200];
        (void)snprintf(what, sizeof what, "composed: '%.60s' to '%.60s'", f->from.p, f->to.p);
        write_text("c.h5", good);
        spoil(f, "c.h5");
        const char *words[] = {f->words, NULL};
        wrong += !refused(
            what, (const char *const[]){"adalink", "eval", "-m", "c.h5", "-d", "rows.jsonl", "-q", NULL},
            f->code, words, PEAK_MB);
    }
    ada_os.release((char *)(uintptr_t)good.p);
    assert_int_equal(wrong, 0);
}

/* ---- rows ---- */

typedef struct row_fault {
    const char *row; /* the second */
    int code;
    const char *words;
} row_fault;

#define IMAGE(file) "{\"prompt\": \"cat\", \"completion\": \" is\", \"image\": \"" file "\"}"
#define KEYS(keys) "{\"prompt\": \"cat\", \"completion\": \" is\", " keys "}"
static const row_fault rows[] = {
    {IMAGE("absent.png"), 3, "No such file"},
    {IMAGE("absent/a.png"), 3, "No such file"},
    {IMAGE("m"), 3, "Is a directory"},
    {IMAGE("m/a.png/b.png"), 3, "Not a directory"},
    {IMAGE("loop.png"), 3, "symbolic links"},
    {IMAGE("pipe.png"), 3, "pipe.png"},
    {IMAGE("/dev/zero"), 3, "/dev/zero"},
    {IMAGE("/dev/null"), 3, "/dev/null"},
    {IMAGE("bad/picture_empty.png"), 4, "is empty"},
    {IMAGE("bad/picture_cut_magic.png"), 4, "ends at byte 8"},
    {IMAGE("bad/picture_cut_head.png"), 4, "ends at byte 20"},
    {IMAGE("bad/picture_cut_data.png"), 4, "ends at byte 50"},
    {IMAGE("bad/picture_cut_end.png"), 4, "ends at byte"},
    {IMAGE("bad/picture_cut_rows.png"), 4, "no good PNG"},
    {IMAGE("bad/picture_cut_head.jpg"), 4, "ends at byte 100"},
    {IMAGE("bad/picture_cut_data.jpg"), 4, "ends at byte 900"},
    {IMAGE("bad/picture_cut_end.jpg"), 4, "but the picture goes on"},
    {IMAGE("bad/picture_cut.webp"), 4, "ends at byte 300"},
    {IMAGE("bad/picture_cut_head.webp"), 4, "ends at byte 14"},
    {IMAGE("bad/picture_zero.png"), 4, "no good PNG"},
    {IMAGE("bad/picture_zero.jpg"), 4, "no good JPEG"},
    {IMAGE("bad/picture_huge.png"), 5, "60000 × 60000 pixels, more than the limit"},
    {IMAGE("bad/picture_huge.jpg"), 5, "60000 × 60000 pixels, more than the limit"},
    {IMAGE("bad/picture_huge.webp"), 5, "16384 × 16384 pixels, more than the limit"},
    {IMAGE("bad/picture_text.jpg"), 4, "no picture of a format known here"},
    {IMAGE("bad/picture_gif.png"), 4, "no picture of a format known here"},
    {IMAGE("bad/model_good.h5"), 4, "no picture of a format known here"},
    {IMAGE("bad/picture_garbage.jpg"), 4, "picture_garbage.jpg"},
    {IMAGE("bad/picture_garbage.webp"), 4, "no good WebP"},
    {IMAGE("bad/picture_animated.webp"), 5, "is animated"},
    {IMAGE("bad/picture_crc.png"), 4, "CRC error"},
    {IMAGE("http://here/a.png"), 4, "is an address"},
    {IMAGE("data:image/png;base64,AAAA"), 4, "is an address"},
    {IMAGE(""), 4, "is empty"},
    {IMAGE("a\\u0000.png"), 4, "NUL"},
    {KEYS("\"image\": 7"), 4, "key 'image' is a number"},
    {KEYS("\"image\": {}"), 4, "key 'image' is an object"},
    {KEYS("\"image\": [\"m/a.png\"]"), 4, "key 'image' is an array"},
    {KEYS("\"image\": true"), 4, "key 'image' is true or false"},
    {KEYS("\"images\": \"m/a.png\""), 4, "key 'images' is a string"},
    {KEYS("\"images\": [\"m/a.png\", 7]"), 4, "key 'images' is a number"},
    {KEYS("\"images\": [\"m/a.png\", \"absent.png\"]"), 3, "absent.png"},
    {KEYS("\"image\": \"m/a.png\", \"images\": [\"m/a.png\"]"), 4, "one of them is wanted"},
    {"{\"prompt\": \"<image><image>\", \"completion\": \" is\", \"image\": \"m/a.png\"}", 4,
     "2 of '<image>'"},
    {"{\"prompt\": \"cat\", \"completion\": \" is <image>\", \"image\": \"m/a.png\"}", 4,
     "cannot be learned"},
    {"{\"prompt\": \"cat\", \"completion\": \" is\", \"image\": \"m/a.png\"", 4, "column"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void scene_of_rows(void) {
    wipe("bad");
    link_folder("vlm/llava_clip");
    (void)unlink("bad"), (void)unlink("loop.png"), (void)unlink("pipe.png");
    assert_int_equal(symlink(io_tests_path("bad"), "bad"), 0);
    assert_int_equal(symlink("loop.png", "loop.png"), 0);
    assert_int_equal(mkfifo("pipe.png", 0666), 0);
}

static void write_second(const char *row) {
    char all[1000];
    (void)snprintf(all, sizeof all, "%s%s\n%s", good_rows, row, good_rows);
    write_rows(all);
}

/* Evaluated, and where it is a file, trained on. */
static void rows_at_fault(void **state) {
    (void)state;
    int wrong = 0;
    scene_of_rows();
    for (size_t i = 0; i < ROWS; i++) {
        const char *words[] = {rows[i].words, "rows.jsonl:2", NULL};
        write_second(rows[i].row);
        wrong += !refused(rows[i].row,
                          (const char *const[]){"adalink", "eval", "-m", "m", "-d", "rows.jsonl", "-q", NULL},
                          rows[i].code, words, PEAK_MB);
        if (i % 3) continue;
        wrong += !refused(rows[i].row,
                          (const char *const[]){"adalink", "train", "-m", "m", "-d", "rows.jsonl", "-o",
                                                "out", "--steps", "1", "-q", NULL},
                          rows[i].code, words, PEAK_MB);
        wrong += access("out/adapter.h5", F_OK) == 0;
    }
    assert_int_equal(wrong, 0);
}

/* The other ways in which an image, or a model, is named. */
static void elsewhere(void **state) {
    (void)state;
    int wrong = 0;
    const char *at_row[] = {"rows.jsonl:2", NULL}, *none[] = {NULL}, *blindly[] = {"no vision tower", NULL};
    scene_of_rows();
    write_second(IMAGE("absent.png"));
    write_text("good.jsonl", (text){good_rows, strlen(good_rows)});
    (void)snprintf(tiny, sizeof tiny, "%s", io_tests_path("cli/tiny"));
    char tower[1024];
    (void)snprintf(tower, sizeof tower, "%s", io_tests_path("golden/siglip"));
    const struct {
        const char *args[14];
        int code;
        const char *const *words;
    } runs[] = {
        {{"adalink", "train", "-m", "m", "-d", "good.jsonl", "--eval-data", "rows.jsonl", "-o", "out",
          "--steps", "1", "-q"},
         3,
         at_row},
        {{"adalink", "train", "-m", "m", "-d", "rows.jsonl", "-o", "out", "--dry-run", "-q"}, 3, at_row},
        {{"adalink", "compose", "--vision", tower, "--text", tiny, "--normalize-on", "rows.jsonl", "-o",
          "n.h5", "-q"},
         3,
         at_row},
        {{"adalink", "generate", "-m", "m", "-p", "cat", "--image", "absent.png", "-q"}, 3, none},
        {{"adalink", "generate", "-m", "m", "-p", "cat", "--image", "pipe.png", "-q"}, 3, none},
        {{"adalink", "generate", "-m", "m", "-p", "cat", "--image", "bad/picture_huge.png", "-q"}, 5, none},
        {{"adalink", "generate", "-m", "m", "-p", "cat", "--image", "bad/picture_cut_data.jpg", "-q"},
         4,
         none},
        {{"adalink", "generate", "-m", tiny, "-p", "cat", "--image", "m/a.png", "-q"}, 2, blindly},
        {{"adalink", "eval", "-m", "pipe.png", "-d", "good.jsonl", "-q"}, 4, none},
        {{"adalink", "eval", "-m", tiny, "-d", "good.jsonl", "-q"},
         2,
         (const char *[]){"good.jsonl:1", NULL}},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        wrong += !refused("elsewhere", runs[i].args, runs[i].code, runs[i].words, PEAK_MB);
    assert_int_equal(wrong, 0);
}

/* A file that its mode closes, to one who is not, or no more, above modes. */
static void closed_file(void **state) {
    (void)state;
    const char *words[] = {"Permission denied", "rows.jsonl:2", NULL};
    const char *const args[] = {"adalink", "eval", "-m", "m", "-d", "rows.jsonl", "-q", NULL};
    scene_of_rows();
    text picture = read_text("m/a.png");
    write_text("closed.png", picture);
    ada_os.release((char *)(uintptr_t)picture.p);
    assert_int_equal(chmod("closed.png", 0), 0);
    write_second(IMAGE("closed.png"));
    blind = geteuid() == 0;
    bool can = run(args).code != 77, good = can && refused("closed", args, 3, words, PEAK_MB);
    blind = false;
    if (!can) skip();
    assert_true(good);
}

/* The largest picture that is allowed, in a file of 8 KB, is read within its bound. */
static void largest_picture(void **state) {
    (void)state;
    scene_of_rows();
    (void)unlink("largest.png");
    assert_int_equal(symlink(io_tests_path("cli/largest.png"), "largest.png"), 0);
    write_second(IMAGE("largest.png"));
    outcome o = run((const char *const[]){"adalink", "eval", "-m", "m", "-d", "rows.jsonl", "-q", NULL});
    assert_string_equal(o.err, "");
    assert_int_equal(o.code, 0);
    if (!SANITIZED) assert_in_range(o.peak, 100 << 10, PEAK_LARGE_MB << 10);
}

static int begin(void **state) {
    if (io_test_begin(state)) return 1;
    return chdir(io_folder);
}

static int end(void **state) {
    return chdir("/") != 0 || io_test_end(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(models_that_see), cmocka_unit_test(towers_in_gguf),
                                       cmocka_unit_test(composed_models), cmocka_unit_test(rows_at_fault),
                                       cmocka_unit_test(elsewhere),       cmocka_unit_test(closed_file),
                                       cmocka_unit_test(largest_picture)};
    return cmocka_run_group_tests(tests, begin, end);
}
