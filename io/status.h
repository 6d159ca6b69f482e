/* SPDX-License-Identifier: Apache-2.0
 * Status values and the thread-local error message.
 * Owns: what went wrong, in one line. Must not know: who prints it.
 * Invariant: whoever returns a status other than ADA_OK or ADA_DONE has set the message. */
#ifndef ADA_IO_STATUS_H
#define ADA_IO_STATUS_H

#include <stdarg.h>
#include <stddef.h>

/* What a user of the library may call: everything else stays within it. */
#if defined(__GNUC__)
#define ADA_API __attribute__((visibility("default")))
#else
#define ADA_API
#endif

enum {
#define S(name, value, exit, text) name = (value),
#include "io/status.def"
#undef S
};

#if defined(__GNUC__)
#define ADA_MUST_USE __attribute__((warn_unused_result))
#define ADA_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define ADA_MUST_USE
#define ADA_PRINTF(f, a)
#endif

typedef int ada_status;

/* Sets the thread's message (fault first, subject in quotes, no full stop) and returns `st`. */
ada_status ada_fail(ada_status st, const char *fmt, ...) ADA_PRINTF(2, 3);
/* In sight of the compiler the result is `st` itself, so that it knows which paths are failures. */
#define ada_fail(st, ...)                                                                                    \
    __extension__({                                                                                          \
        const ada_status ada_st_ = (st);                                                                     \
        (void)(ada_fail)(ada_st_, __VA_ARGS__);                                                              \
        ada_st_;                                                                                             \
    })
/* Appends context to the message: "…: while loading 'x.gguf'". */
void ada_note(const char *fmt, ...) ADA_PRINTF(1, 2);
/* The message of the thread's last failure; "" if none. Valid until the next ada_fail of this thread. */
ADA_API const char *ada_error(void);
ADA_API void ada_error_clear(void);
/* The message, set aside while what may fail as well runs: put back by ada_fail(st, "%s", kept). */
enum { ADA_ERROR_MAX = 1024 };
void ada_error_keep(char kept[ADA_ERROR_MAX]);
/* "ADA_EFORMAT", the exit code, the meaning, by value; unknown values give ADA_EINTERNAL's. */
ADA_API const char *ada_status_name(ada_status st);
ADA_API const char *ada_status_text(ada_status st);
ADA_API int ada_status_exit(ada_status st);

#define ADA_TRY(x)                                                                                           \
    do {                                                                                                     \
        ada_status ada_try_st_ = (x);                                                                        \
        if (ada_try_st_ != ADA_OK) return ada_try_st_;                                                       \
    } while (0)

/* Log callback: libraries report through it and never print. NULL (the default) drops messages. */
enum { ADA_LOG_WARN = 0, ADA_LOG_INFO = 1, ADA_LOG_DEBUG = 2 };
typedef void (*ada_log_fn)(void *ctx, int level, const char *message);
ADA_API void ada_log_set(ada_log_fn fn, void *ctx);
void ada_log(int level, const char *fmt, ...) ADA_PRINTF(2, 3);

#endif
