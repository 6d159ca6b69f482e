/* SPDX-License-Identifier: Apache-2.0
 * JSONL rows → prompt, completion, messages, text, choices. Owns: the file's rows as strings.
 * Must not know: tokens. Errors are file:line: key found, key wanted. "-" reads standard input. */
#ifndef ADA_IO_DATASET_H
#define ADA_IO_DATASET_H

#include "io/chat.h"

typedef struct ada_row {
    size_t line;            /* 1-based line of the file */
    const char *prompt;     /* with completion; NULL for messages and text rows */
    const char *completion; /* may be NULL for generate/eval-only rows */
    const char *text;
    const ada_message *messages;
    size_t nmessages;
    const char *const *choices; /* NULL if none */
    size_t nchoices;
    /* [nimages] files, a relative name taken from the data file's folder. Prompt, text or messages hold as
     * many ADA_IMAGE_MARKs, in their order: where the row had none, they stand in front (of the first user
     * turn). Completion, choices and assistants' messages hold none. */
    const char *const *images;
    size_t nimages;
    int answer; /* index of completion (or of the last message) among choices; -1 unless found */
} ada_row;

typedef struct ada_dataset_opts { /* zero-initialised: the defaults in brackets */
    const char *prompt_key;       /* ["prompt"] */
    const char *completion_key;   /* ["completion"] */
    const char *messages_key;     /* ["messages"] */
    const char *text_key;         /* ["text"] */
    const char *choices_key;      /* ["choices"] */
    const char *image_key;        /* ["image"] one file, */
    const char *images_key;       /* ["images"] or an array of them */
    size_t limit;                 /* rows at most; 0: all */
    bool allow_no_target;         /* rows of a prompt alone are fine */
} ada_dataset_opts;

typedef struct ada_dataset ada_dataset;
ada_status ada_dataset_open(ada_dataset **d, const char *path, const ada_dataset_opts *o) ADA_MUST_USE;
void ada_dataset_close(ada_dataset **d);
size_t ada_dataset_count(const ada_dataset *d);
const ada_row *ada_dataset_at(const ada_dataset *d, size_t i);
const char *ada_dataset_path(const ada_dataset *d);
const char *ada_dataset_digest(const ada_dataset *d); /* sha256 of the bytes read, hex */

#endif
