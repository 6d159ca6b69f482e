/* SPDX-License-Identifier: Apache-2.0
 * The command: main, and the table of commands made from meson.build's list. Owns: the way from a status to
 * an exit code. Must not know: any command's options. Invariant: the only exit of the program is main's
 * return. */
#include "apps/help.h"
#include "apps/opt.h"
#include "apps/report.h"
#include "apps/stop.h"
#include "engine/adalink.h"
#include "registry.h"
#include <string.h>

#define X(name) extern const struct ada_command ada_command_##name;
ADA_COMMANDS(X)
#undef X
#define X(name) &ada_command_##name,
const struct ada_command *const ada_commands[] = {ADA_COMMANDS(X) & ada_command_help, NULL};
#undef X

static ada_status unknown_command(const char *word) {
    const char *names[32];
    size_t n = 0;
    for (const struct ada_command *const *c = ada_commands; *c && n + 1 < sizeof names / sizeof *names; c++)
        names[n++] = (*c)->name;
    names[n] = NULL;
    const char *near = ada_word_near(word, names);
    return near ? ada_fail(ADA_EINVAL, "unknown command '%s'; did you mean '%s'?", word, near)
                : ada_fail(ADA_EINVAL, "unknown command '%s'; see 'adalink help'", word);
}

static ada_status run_command(const struct ada_command *c, int argc, char **argv) {
    struct ada_args a = {0};
    ada_status st = ada_opt_parse(&a, c, argc, argv);
    if (st == ADA_OK && a.help) {
        ada_help_command(c);
    } else if (st == ADA_OK) {
        const struct ada_common *common = a.values;
        ada_err_level(common->quiet ? -1 : common->verbose ? 1 : 0);
        st = c->run(&a, a.values);
    }
    ada_progress_end();
    ada_args_free(&a);
    return st;
}

int main(int argc, char **argv) {
    ada_out_open();
    const char *word = argc > 1 ? argv[1] : "help";
    const struct ada_command *c = ada_command_find(word);
    ada_status st = ada_engine_check();
    if (st != ADA_OK) {
        c = NULL;
    } else if (strcmp(word, "--version") == 0) {
        ada_out_printf("adalink %s\n", ADA_VERSION);
    } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        st = run_command(&ada_command_help, argc - 2, argv + 2);
    } else {
        st = c ? run_command(c, argc > 2 ? argc - 2 : 0, argv + 2) : unknown_command(word);
    }
    if (ada_status_exit(st) != 0) ada_err_fault(c ? c->name : NULL);
    ada_status out = ada_out_flush();
    if (out != ADA_OK && ada_status_exit(st) == 0) {
        st = out;
        ada_err_fault(c ? c->name : NULL);
    }
    return st == ADA_ECANCELED ? 128 + ada_stop_signal() : ada_status_exit(st);
}
