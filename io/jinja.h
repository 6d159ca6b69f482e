/* SPDX-License-Identifier: Apache-2.0
 * The part of Jinja that chat templates use, evaluated as transformers does (trim_blocks, lstrip_blocks,
 * tools and documents none). Owns: a template's tokens. Must not know: model families, what a template makes
 * of messages. Invariant: what is not understood is EUNSUPPORTED by name, never left out; a run ends,
 * whatever the template. */
#ifndef ADA_IO_JINJA_H
#define ADA_IO_JINJA_H

#include "io/chat.h"

typedef struct ada_jinja ada_jinja;
/* Reads the whole template; branches that a run may never take must be Jinja all the same. */
ada_status ada_jinja_open(ada_jinja **j, const char *source) ADA_MUST_USE;
void ada_jinja_close(ada_jinja **j);

typedef struct ada_jinja_input {
    const ada_message *messages; /* [n]; what has parts is a list of them, else a string */
    size_t n;
    const char *bos, *eos; /* NULL: undefined */
    bool generate;
} ada_jinja_input;
/* Appends to out. *raised (may be NULL): the template itself refused the messages. */
ada_status ada_jinja_run(const ada_jinja *j, const ada_jinja_input *in, ada_buf *out,
                         bool *raised) ADA_MUST_USE;

#endif
