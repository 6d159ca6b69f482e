/* SPDX-License-Identifier: Apache-2.0
 * The door to HDF5: the only file that includes its header. Owns: the library's one mutex, and every id.
 * Must not know: what is stored. Invariant: between enter and leave this thread alone is in HDF5, and leave
 * closes every id that was kept since; HDF5 itself never prints. */
#include "io/h5.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/sha.h"
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char digest_prefix[] = "adalink:sha256:";
enum {
    PREFIX = sizeof digest_prefix - 1,
    DIGITS = 64,
    ALIGN_FROM = 512,
    ALIGN = 4096,
    GROWTH = 1 << 20,
    PATH_ROOM = 512,
    IDS = 12
};

struct ids {
    hid_t id[IDS];
    int n;
};

struct ada_h5_out {
    hid_t file;
    char *path;
    bool large;
};

struct ada_h5_in {
    hid_t file;
    char *path;
    uint64_t size; /* of the file */
};

static void enter(void) {
    static bool begun;
    (void)pthread_mutex_lock(&mutex);
    /* A full disk leaves HDF5 with objects that it cannot close, and its exit handler then crashes on them.
     */
    if (!begun) begun = H5dont_atexit() >= 0;
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void leave(struct ids *s) {
    while (s->n > 0) (void)H5Idec_ref(s->id[--s->n]);
    (void)H5Eclear2(H5E_DEFAULT);
    (void)pthread_mutex_unlock(&mutex);
}

static hid_t keep(struct ids *s, hid_t id) {
    if (id >= 0) s->id[s->n++] = id;
    return id;
}

static herr_t innermost(unsigned n, const H5E_error2_t *e, void *why) {
    if (n == 0) *(const char **)why = e->desc;
    return 0;
}

/* "cannot <verb> '<what>' of '<path>': the innermost reason". Of a failed system call only its own message is
 * kept. */
static ada_status refuse(ada_status st, const char *verb, const char *what, const char *path) {
    const char *why = NULL;
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &why);
    if (why == NULL) why = "HDF5 does not say why";
    int n = (int)strlen(why);
    const char *said = strstr(why, "error message = '");
    if (said != NULL) {
        why = said + strlen("error message = '");
        n = (int)strcspn(why, "'");
    }
    return ada_fail(st, "cannot %s '%s' of '%s': %.*s", verb, what, path, n, why);
}

/* ---- types ---- */

/* A 16-bit float with `exponent` bits. */
static hid_t half_type(struct ids *s, size_t exponent) {
    hid_t t = keep(s, H5Tcopy(H5T_IEEE_F32LE));
    size_t mantissa = 15 - exponent;
    bool good = H5Tset_fields(t, 15, mantissa, exponent, 0, mantissa) >= 0 && H5Tset_precision(t, 16) >= 0 &&
                H5Tset_size(t, 2) >= 0 && H5Tset_ebias(t, ((size_t)1 << (exponent - 1)) - 1) >= 0;
    return good ? t : H5I_INVALID_HID;
}

static hid_t type_of(struct ids *s, ada_dtype type) {
    switch (type) {
    case ADA_F32:
        return H5T_IEEE_F32LE;
    case ADA_F64:
        return H5T_IEEE_F64LE;
    case ADA_F16:
        return half_type(s, 5);
    case ADA_BF16:
        return half_type(s, 8);
    case ADA_I8:
        return H5T_STD_I8LE;
    case ADA_I32:
        return H5T_STD_I32LE;
    case ADA_I64:
        return H5T_STD_I64LE;
    case ADA_U8:
        return H5T_STD_U8LE;
    default:
        return H5I_INVALID_HID;
    }
}

/* size 0: of any length */
static hid_t string_type(struct ids *s, size_t size) {
    hid_t t = keep(s, H5Tcopy(H5T_C_S1));
    bool good = H5Tset_size(t, size == 0 ? H5T_VARIABLE : size) >= 0 && H5Tset_cset(t, H5T_CSET_UTF8) >= 0 &&
                H5Tset_strpad(t, size == 0 ? H5T_STR_NULLTERM : H5T_STR_NULLPAD) >= 0;
    return good ? t : H5I_INVALID_HID;
}

/* ---- writing ---- */

/* Room for a handle and its copy of `path`; the handle is zero. */
static ada_status handle_new(void *out, size_t size, const char *path, char **copy) {
    size_t n = strlen(path) + 1;
    char *p = ada_os.alloc(size + n);
    if (p == NULL) return ada_fail(ADA_ENOMEM, "out of memory while opening '%s'", path);
    memset(p, 0, size);
    *copy = memcpy(p + size, path, n);
    memcpy(out, &p, sizeof p);
    return ADA_OK;
}

/* The attribute that holds the seal comes first, so that it is among the first bytes. */
static ada_status put_seal(struct ids *s, const ada_h5_out *f) {
    char seal[ADA_H5_SEAL];
    memset(seal, '0', sizeof seal);
    if (!f->large) memcpy(seal, digest_prefix, PREFIX);
    hid_t type = string_type(s, f->large ? sizeof seal : PREFIX + DIGITS);
    hid_t at = keep(
        s, H5Acreate2(f->file, "digest", type, keep(s, H5Screate(H5S_SCALAR)), H5P_DEFAULT, H5P_DEFAULT));
    if (H5Awrite(at, type, seal) < 0) return refuse(ADA_EIO, "write", "digest", f->path);
    return ADA_OK;
}

static ada_status create(struct ids *s, ada_h5_out *f) {
    /* without a sieve: what it holds back is written when a dataset closes, and a refusal then goes unheard
     */
    hid_t access = keep(s, H5Pcreate(H5P_FILE_ACCESS));
    bool good =
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 && H5Pset_sieve_buf_size(access, 0) >= 0 &&
        (f->large ? H5Pset_alignment(access, ALIGN_FROM, ALIGN) : H5Pset_fapl_core(access, GROWTH, 0)) >= 0;
    if (good) f->file = H5Fcreate(f->path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (!good || f->file < 0) return refuse(ADA_EIO, "create", "/", f->path);
    return put_seal(s, f);
}

static ada_status create_either(ada_h5_out **f, const char *path, bool large) {
    char *copy;
    *f = NULL;
    ADA_TRY(handle_new(f, sizeof **f, path, &copy));
    **f = (ada_h5_out){.file = H5I_INVALID_HID, .path = copy, .large = large};
    struct ids s = {0};
    enter();
    ada_status st = create(&s, *f);
    leave(&s);
    if (st != ADA_OK) ada_h5_abandon(f);
    return st;
}

ada_status ada_h5_create(ada_h5_out **f, const char *path) {
    return create_either(f, path, false);
}
ada_status ada_h5_create_large(ada_h5_out **f, const char *path) {
    return create_either(f, path, true);
}

/* Equal content gives equal bytes: no times are kept, and nothing is left to be filled. */
static ada_status put(struct ids *s, const ada_h5_out *f, const char *path, hid_t type, hid_t space,
                      const void *data) {
    hid_t link = keep(s, H5Pcreate(H5P_LINK_CREATE)), made = keep(s, H5Pcreate(H5P_DATASET_CREATE));
    bool good = H5Pset_create_intermediate_group(link, 1) >= 0 && H5Pset_layout(made, H5D_CONTIGUOUS) >= 0 &&
                H5Pset_alloc_time(made, H5D_ALLOC_TIME_EARLY) >= 0 &&
                H5Pset_fill_time(made, H5D_FILL_TIME_NEVER) >= 0 && H5Pset_obj_track_times(made, 0) >= 0;
    hid_t d =
        good ? keep(s, H5Dcreate2(f->file, path, type, space, link, made, H5P_DEFAULT)) : H5I_INVALID_HID;
    if (d < 0 || H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        return refuse(ADA_EIO, "write", path, f->path);
    return ADA_OK;
}

ada_status ada_h5_put(ada_h5_out *f, const char *path, ada_dtype type, int ndim, const int64_t *shape,
                      const void *data) {
    hsize_t dims[ADA_MAX_DIMS] = {0};
    if (ndim < 0 || ndim > ADA_MAX_DIMS) return ada_fail(ADA_EINTERNAL, "'%s' has %d dimensions", path, ndim);
    for (int i = 0; i < ndim; i++) dims[i] = (hsize_t)shape[i];
    struct ids s = {0};
    enter();
    hid_t space = keep(&s, ndim == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(ndim, dims, NULL));
    ada_status st = put(&s, f, path, type_of(&s, type), space, data);
    leave(&s);
    return st;
}

ada_status ada_h5_put_text(ada_h5_out *f, const char *path, const char *text, size_t n) {
    struct ids s = {0};
    enter();
    hid_t space = keep(&s, H5Screate(H5S_SCALAR));
    ada_status st = put(&s, f, path, string_type(&s, n > 0 ? n : 1), space, n > 0 ? text : "");
    leave(&s);
    return st;
}

static hid_t object_for_attr(struct ids *s, const ada_h5_out *f, const char *object) {
    if (strcmp(object, "/") == 0 || H5Lexists(f->file, object, H5P_DEFAULT) > 0)
        return keep(s, H5Oopen(f->file, object, H5P_DEFAULT));
    hid_t link = keep(s, H5Pcreate(H5P_LINK_CREATE));
    if (H5Pset_create_intermediate_group(link, 1) < 0) return H5I_INVALID_HID;
    return keep(s, H5Gcreate2(f->file, object, link, H5P_DEFAULT, H5P_DEFAULT));
}

/* type 0: a string of any length, value a char **. */
static ada_status put_attr(const ada_h5_out *f, const char *object, const char *name, hid_t type,
                           const void *value) {
    struct ids s = {0};
    enter();
    if (type == 0) type = string_type(&s, 0);
    hid_t o = object_for_attr(&s, f, object), space = keep(&s, H5Screate(H5S_SCALAR));
    hid_t at = keep(&s, H5Acreate2(o, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    ada_status st = ADA_OK;
    if (at < 0 || H5Awrite(at, type, value) < 0) st = refuse(ADA_EIO, "write", name, f->path);
    leave(&s);
    return st;
}

ada_status ada_h5_attr_str(ada_h5_out *f, const char *object, const char *name, const char *value) {
    return put_attr(f, object, name, 0, &value);
}
ada_status ada_h5_attr_f64(ada_h5_out *f, const char *object, const char *name, double value) {
    return put_attr(f, object, name, H5T_IEEE_F64LE, &value);
}
ada_status ada_h5_attr_i64(ada_h5_out *f, const char *object, const char *name, int64_t value) {
    return put_attr(f, object, name, H5T_STD_I64LE, &value);
}

ada_status ada_h5_offset(ada_h5_out *f, const char *path, uint64_t *offset) {
    struct ids s = {0};
    enter();
    haddr_t at = H5Dget_offset(keep(&s, H5Dopen2(f->file, path, H5P_DEFAULT)));
    ada_status st = at != HADDR_UNDEF ? ADA_OK : refuse(ADA_EINTERNAL, "find", path, f->path);
    *offset = at;
    leave(&s);
    return st;
}

ada_status ada_h5_seal(ada_h5_out *f, const char *text) {
    if (!f->large || strlen(text) != ADA_H5_SEAL)
        return ada_fail(ADA_EINTERNAL, "'%s' cannot be sealed by '%s'", f->path, text);
    struct ids s = {0};
    enter();
    hid_t type = string_type(&s, ADA_H5_SEAL), at = keep(&s, H5Aopen(f->file, "digest", H5P_DEFAULT));
    ada_status st = H5Awrite(at, type, text) < 0 ? refuse(ADA_EIO, "write", "digest", f->path) : ADA_OK;
    leave(&s);
    return st;
}

size_t ada_h5_find_seal(const void *p, size_t n, const char *prefix) {
    const char *at = memmem(p, n < ADA_H5_SEAL_WITHIN ? n : ADA_H5_SEAL_WITHIN, prefix, strlen(prefix));
    return at != NULL && n - (size_t)(at - (const char *)p) >= ADA_H5_SEAL ? (size_t)(at - (const char *)p)
                                                                           : n;
}

/* sha256 of all n bytes, but for the digits at `at`, which count as '0'. */
static ada_status digest(const char *p, size_t n, size_t at, char hex[65]) {
    char zeros[DIGITS];
    memset(zeros, '0', sizeof zeros);
    ada_sha *sha = NULL;
    ADA_TRY(ada_sha_open(&sha));
    ada_status st = ada_sha_add(sha, p, at);
    if (st == ADA_OK) st = ada_sha_add(sha, zeros, sizeof zeros);
    if (st == ADA_OK) st = ada_sha_add(sha, p + at + DIGITS, n - at - DIGITS);
    ada_status end = ada_sha_close(&sha, hex);
    return st != ADA_OK ? st : end;
}

static ada_status seal_and_write(const ada_h5_out *f, char *image, size_t n) {
    char hex[65];
    size_t at = ada_h5_find_seal(image, n, digest_prefix);
    if (at == n) return ada_fail(ADA_EINTERNAL, "'%s' has no place for its digest", f->path);
    at += PREFIX;
    ADA_TRY(digest(image, n, at, hex));
    memcpy(image + at, hex, DIGITS);
    return ada_write_file(f->path, image, n);
}

static ada_status image_of(const ada_h5_out *f, char **image, size_t *n) {
    ssize_t size = H5Fflush(f->file, H5F_SCOPE_GLOBAL) >= 0 ? H5Fget_file_image(f->file, NULL, 0) : -1;
    if (size < 0) return refuse(ADA_EIO, "write", "/", f->path);
    *n = (size_t)size;
    *image = ada_os.alloc(*n);
    if (*image == NULL) return ada_fail(ADA_ENOMEM, "out of memory: '%s' is %zu bytes", f->path, *n);
    return H5Fget_file_image(f->file, *image, *n) == size ? ADA_OK : refuse(ADA_EIO, "write", "/", f->path);
}

ada_status ada_h5_finish(ada_h5_out **f) {
    char *image = NULL;
    size_t n = 0;
    struct ids s = {0};
    enter();
    ada_status st = (*f)->large ? ADA_OK : image_of(*f, &image, &n);
    if (H5Fclose((*f)->file) < 0 && st == ADA_OK) st = refuse(ADA_EIO, "write", "/", (*f)->path);
    (*f)->file = H5I_INVALID_HID;
    leave(&s);
    if (st == ADA_OK && image != NULL) st = seal_and_write(*f, image, n);
    ada_os.release(image);
    ada_h5_abandon(f);
    return st;
}

void ada_h5_abandon(ada_h5_out **f) {
    if (*f == NULL) return;
    struct ids s = {0};
    enter();
    if ((*f)->file >= 0) (void)H5Fclose((*f)->file);
    leave(&s);
    ada_os.release(*f);
    *f = NULL;
}

/* ---- reading ---- */

static ada_status check_digest_of(const char *p, size_t n, const char *path) {
    char hex[65];
    size_t at = ada_h5_find_seal(p, n, digest_prefix);
    if (at == n)
        return ada_fail(ADA_EFORMAT, "'%s' has no digest: it is no adapter or checkpoint of this program",
                        path);
    at += PREFIX;
    ADA_TRY(digest(p, n, at, hex));
    if (memcmp(hex, p + at, DIGITS) != 0)
        return ada_fail(ADA_EFORMAT, "'%s' is damaged: its bytes do not agree with its digest", path);
    return ADA_OK;
}

static ada_status check_bytes(ada_h5_in *f, int fd, bool check_digest) {
    int64_t n = ada_os.size(fd);
    if (n < 0) return ada_fail(ADA_EIO, "cannot read '%s': %s", f->path, strerror(errno));
    f->size = (uint64_t)n;
    if (n < 8) return ada_fail(ADA_EFORMAT, "'%s' is no HDF5 file", f->path);
    char *p = ada_os.map(fd, (size_t)n);
    if (p == NULL) return ada_fail(ADA_EIO, "cannot map '%s': %s", f->path, strerror(errno));
    ada_status st = ADA_OK;
    if (memcmp(p, "\x89HDF\r\n\x1a\n", 8) != 0)
        st = ada_fail(ADA_EFORMAT, "'%s' is no HDF5 file", f->path);
    else if (check_digest)
        st = check_digest_of(p, (size_t)n, f->path);
    ada_os.unmap(p, (size_t)n);
    return st;
}

static ada_status open_file(struct ids *s, ada_h5_in *f) {
    hid_t access = keep(s, H5Pcreate(H5P_FILE_ACCESS));
    bool good = H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0;
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 11, 0))
    good = good && H5Pset_file_locking(access, 0, 1) >= 0; /* cluster file systems often have none */
#endif
    if (good) f->file = H5Fopen(f->path, H5F_ACC_RDONLY, access);
    return good && f->file >= 0 ? ADA_OK : refuse(ADA_EFORMAT, "open", "/", f->path);
}

static ada_status open_checked(ada_h5_in *f, bool check_digest) {
    int fd = ada_os.open(f->path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) return ada_fail(ADA_EIO, "cannot open '%s': %s", f->path, strerror(errno));
    ada_status st = check_bytes(f, fd, check_digest);
    (void)ada_os.close(fd);
    ADA_TRY(st);
    struct ids s = {0};
    enter();
    st = open_file(&s, f);
    leave(&s);
    return st;
}

ada_status ada_h5_open(ada_h5_in **f, const char *path, bool check_digest) {
    char *copy;
    *f = NULL;
    ADA_TRY(handle_new(f, sizeof **f, path, &copy));
    **f = (ada_h5_in){.file = H5I_INVALID_HID, .path = copy};
    ada_status st = open_checked(*f, check_digest);
    if (st != ADA_OK) ada_h5_close(f);
    return st;
}

void ada_h5_close(ada_h5_in **f) {
    if (*f == NULL) return;
    struct ids s = {0};
    enter();
    if ((*f)->file >= 0) (void)H5Fclose((*f)->file);
    leave(&s);
    ada_os.release(*f);
    *f = NULL;
}

/* Every step of the path is there and is a hard link: a soft or external one could lead out of the file. */
static ada_status check_path(const ada_h5_in *f, const char *path) {
    char part[PATH_ROOM];
    size_t n = strlen(path);
    if (n >= sizeof part || path[0] != '/')
        return ada_fail(ADA_EINTERNAL, "'%.100s' is no path in an HDF5 file", path);
    for (size_t i = 1; i <= n && n > 1; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        H5L_info_t info;
        if (H5Lexists(f->file, part, H5P_DEFAULT) <= 0)
            return ada_fail(ADA_EMISMATCH, "'%s' has no '%s'", f->path, part);
        if (H5Lget_info(f->file, part, &info, H5P_DEFAULT) < 0)
            return refuse(ADA_EFORMAT, "read", part, f->path);
        if (info.type != H5L_TYPE_HARD)
            return ada_fail(ADA_EUNSUPPORTED, "'%s' of '%s' is a soft or external link", part, f->path);
    }
    return ADA_OK;
}

/* Opens a dataset whose bytes all lie in this file as they are; *count is its number of values. */
static ada_status open_dataset(struct ids *s, const ada_h5_in *f, const char *path, hid_t *d,
                               uint64_t *count) {
    ADA_TRY(check_path(f, path));
    *d = keep(s, H5Dopen2(f->file, path, H5P_DEFAULT));
    if (*d < 0) return ada_fail(ADA_EMISMATCH, "'%s' of '%s' is no dataset", path, f->path);
    hid_t made = keep(s, H5Dget_create_plist(*d)), space = keep(s, H5Dget_space(*d)),
          type = keep(s, H5Dget_type(*d));
    H5D_layout_t layout = H5Pget_layout(made);
    hssize_t points = H5Sget_simple_extent_npoints(space);
    if (layout < 0 || points < 0) return refuse(ADA_EFORMAT, "read", path, f->path);
    if ((layout != H5D_CONTIGUOUS && layout != H5D_COMPACT) || H5Pget_nfilters(made) != 0 ||
        H5Pget_external_count(made) != 0)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' of '%s' is chunked, filtered, virtual or external", path,
                        f->path);
    *count = (uint64_t)points;
    uint64_t bytes, stored = H5Dget_storage_size(*d), at = layout == H5D_CONTIGUOUS ? H5Dget_offset(*d) : 0;
    bool holds = !__builtin_mul_overflow(*count, (uint64_t)H5Tget_size(type), &bytes) && bytes == stored;
    if (!holds || (stored > 0 && (at > f->size || stored > f->size - at)))
        return ada_fail(ADA_EFORMAT, "'%s' claims more bytes than '%s' has", path, f->path);
    return ADA_OK;
}

static ada_status same_count(uint64_t count, size_t want, const char *path, const ada_h5_in *f) {
    if (count == want) return ADA_OK;
    return ada_fail(ADA_EMISMATCH, "'%s' of '%s' has %llu values, where %zu are wanted", path, f->path,
                    (unsigned long long)count, want);
}

static ada_status same_class(hid_t type, H5T_class_t want, const char *path, const ada_h5_in *f) {
    if (H5Tget_class(type) == want) return ADA_OK;
    return ada_fail(ADA_EFORMAT, "'%s' of '%s' does not hold %s", path, f->path,
                    want == H5T_FLOAT     ? "real numbers"
                    : want == H5T_INTEGER ? "integers"
                                          : "text");
}

bool ada_h5_has(ada_h5_in *f, const char *path) {
    struct ids s = {0};
    enter();
    bool has = check_path(f, path) == ADA_OK;
    leave(&s);
    return has;
}

static ada_status shape_of(struct ids *s, const ada_h5_in *f, const char *path, ada_dtype *type, int *ndim,
                           int64_t *shape) {
    static const ada_dtype all[] = {ADA_F32, ADA_F16, ADA_BF16, ADA_I8, ADA_I32, ADA_I64, ADA_U8, ADA_F64};
    hid_t d;
    uint64_t count;
    ADA_TRY(open_dataset(s, f, path, &d, &count));
    hid_t space = keep(s, H5Dget_space(d)), t = keep(s, H5Dget_type(d));
    hsize_t dims[H5S_MAX_RANK];
    *ndim = H5Sget_simple_extent_dims(space, dims, NULL);
    if (*ndim < 0 || *ndim > ADA_MAX_DIMS)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' of '%s' has %d dimensions", path, f->path, *ndim);
    for (int i = 0; i < *ndim; i++) shape[i] = (int64_t)dims[i];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (H5Tequal(t, type_of(s, all[i])) > 0) {
            *type = all[i];
            return ADA_OK;
        }
    return ada_fail(ADA_EUNSUPPORTED, "'%s' of '%s' has a type that is not read", path, f->path);
}

ada_status ada_h5_shape(ada_h5_in *f, const char *path, ada_dtype *type, int *ndim,
                        int64_t shape[ADA_MAX_DIMS]) {
    struct ids s = {0};
    enter();
    ada_status st = shape_of(&s, f, path, type, ndim, shape);
    leave(&s);
    return st;
}

static ada_status get(struct ids *s, const ada_h5_in *f, const char *path, size_t want, H5T_class_t class,
                      hid_t type, void *out) {
    hid_t d;
    uint64_t count;
    ADA_TRY(open_dataset(s, f, path, &d, &count));
    ADA_TRY(same_class(keep(s, H5Dget_type(d)), class, path, f));
    ADA_TRY(same_count(count, want, path, f));
    if (H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        return refuse(ADA_EFORMAT, "read", path, f->path);
    return ADA_OK;
}

ada_status ada_h5_get_f32(ada_h5_in *f, const char *path, size_t count, float *out) {
    struct ids s = {0};
    enter();
    ada_status st = get(&s, f, path, count, H5T_FLOAT, H5T_NATIVE_FLOAT, out);
    leave(&s);
    return st;
}

ada_status ada_h5_get_i64(ada_h5_in *f, const char *path, size_t count, int64_t *out) {
    struct ids s = {0};
    enter();
    ada_status st = get(&s, f, path, count, H5T_INTEGER, H5T_NATIVE_INT64, out);
    leave(&s);
    return st;
}

static ada_status get_text(struct ids *s, const ada_h5_in *f, const char *path, ada_buf *out) {
    hid_t d;
    uint64_t count;
    ADA_TRY(open_dataset(s, f, path, &d, &count));
    hid_t type = keep(s, H5Dget_type(d));
    ADA_TRY(same_class(type, H5T_STRING, path, f));
    ADA_TRY(same_count(count, 1, path, f));
    if (H5Tis_variable_str(type) != 0)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' of '%s' has a varying length", path, f->path);
    size_t n = H5Tget_size(type);
    char *text = ada_os.alloc(n + 1);
    if (text == NULL)
        return ada_fail(ADA_ENOMEM, "out of memory: '%s' of '%s' is %zu bytes", path, f->path, n);
    ada_status st = ADA_OK;
    if (H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0)
        st = refuse(ADA_EFORMAT, "read", path, f->path);
    else
        st = ada_buf_add(out, text, strnlen(text, n));
    ada_os.release(text);
    return st;
}

ada_status ada_h5_get_text(ada_h5_in *f, const char *path, ada_buf *out) {
    struct ids s = {0};
    enter();
    ada_status st = get_text(&s, f, path, out);
    leave(&s);
    return st;
}

static ada_status open_attr(struct ids *s, const ada_h5_in *f, const char *object, const char *name,
                            hid_t *at) {
    ADA_TRY(check_path(f, object));
    if (H5Aexists_by_name(f->file, object, name, H5P_DEFAULT) <= 0)
        return ada_fail(ADA_EMISMATCH, "'%s' of '%s' has no attribute '%s'", object, f->path, name);
    *at = keep(s, H5Aopen_by_name(f->file, object, name, H5P_DEFAULT, H5P_DEFAULT));
    if (*at < 0) return refuse(ADA_EFORMAT, "read", name, f->path);
    hssize_t n = H5Sget_simple_extent_npoints(keep(s, H5Aget_space(*at)));
    return same_count(n < 0 ? 0 : (uint64_t)n, 1, name, f);
}

static ada_status attr_number(struct ids *s, const ada_h5_in *f, const char *object, const char *name,
                              bool real, void *out) {
    hid_t at;
    ADA_TRY(open_attr(s, f, object, name, &at));
    hid_t type = keep(s, H5Aget_type(at));
    if (!real || H5Tget_class(type) != H5T_INTEGER)
        ADA_TRY(same_class(type, real ? H5T_FLOAT : H5T_INTEGER, name, f));
    if (H5Aread(at, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, out) < 0)
        return refuse(ADA_EFORMAT, "read", name, f->path);
    return ADA_OK;
}

ada_status ada_h5_get_attr_f64(ada_h5_in *f, const char *object, const char *name, double *out) {
    struct ids s = {0};
    enter();
    ada_status st = attr_number(&s, f, object, name, true, out);
    leave(&s);
    return st;
}

ada_status ada_h5_get_attr_i64(ada_h5_in *f, const char *object, const char *name, int64_t *out) {
    struct ids s = {0};
    enter();
    ada_status st = attr_number(&s, f, object, name, false, out);
    leave(&s);
    return st;
}

static ada_status attr_text(struct ids *s, const ada_h5_in *f, const char *object, const char *name,
                            ada_buf *out) {
    hid_t at;
    char *text = NULL;
    ADA_TRY(open_attr(s, f, object, name, &at));
    hid_t type = keep(s, H5Aget_type(at));
    ADA_TRY(same_class(type, H5T_STRING, name, f));
    if (H5Tis_variable_str(type) <= 0)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' of '%s' has a fixed length", name, f->path);
    if (H5Aread(at, type, &text) < 0 || text == NULL) return refuse(ADA_EFORMAT, "read", name, f->path);
    ada_status st = ada_buf_puts(out, text);
    (void)H5free_memory(text);
    return st;
}

ada_status ada_h5_get_attr_str(ada_h5_in *f, const char *object, const char *name, ada_buf *out) {
    struct ids s = {0};
    enter();
    ada_status st = attr_text(&s, f, object, name, out);
    leave(&s);
    return st;
}

struct names {
    ada_buf text; /* each with its NUL */
    ada_status st;
};

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *ctx) {
    struct names *n = ctx;
    (void)group;
    (void)info;
    n->st = ada_buf_add(&n->text, name, strlen(name) + 1);
    return n->st == ADA_OK ? 0 : -1;
}

static ada_status list_group(struct ids *s, const ada_h5_in *f, const char *group, struct names *n) {
    ADA_TRY(check_path(f, group));
    hid_t g = keep(s, H5Gopen2(f->file, group, H5P_DEFAULT));
    if (g < 0) return ada_fail(ADA_EMISMATCH, "'%s' of '%s' is no group", group, f->path);
    if (H5Literate(g, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, n) >= 0) return ADA_OK;
    return n->st != ADA_OK ? n->st : refuse(ADA_EFORMAT, "list", group, f->path);
}

ada_status ada_h5_each(ada_h5_in *f, const char *group, ada_status (*fn)(void *ctx, const char *name),
                       void *ctx) {
    struct names n = {0};
    struct ids s = {0};
    enter();
    ada_status st = list_group(&s, f, group, &n);
    leave(&s);
    for (size_t i = 0; st == ADA_OK && i < n.text.len; i += strlen(n.text.data + i) + 1)
        st = fn(ctx, n.text.data + i);
    ada_buf_free(&n.text);
    return st;
}
