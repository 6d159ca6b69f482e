/* SPDX-License-Identifier: Apache-2.0
 * help: what the tables say, for a person and for a shell. Owns: the layout of help.
 * Must not know: any command by name. Invariant: every word printed about an option comes from its row. */
#include "apps/help.h"
#include "apps/report.h"
#include <stdio.h>
#include <string.h>

enum { WIDTH = 96, COLUMN = 28 };

static void print_option(const struct ada_opt *o) {
    char left[96], text[512];
    bool negative = o->kind == ADA_OPT_BOOL && o->def && strcmp(o->def, "true") == 0;
    const char *value = o->words ? o->words : o->arg;
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(left, sizeof left, "  %s--%s%s%s%s", letter, negative ? "no-" : "", o->name, value ? " " : "",
             value ? value + (value[0] == '|') : "");
    int n = snprintf(text, sizeof text, "%s", o->help);
    if (o->kind != ADA_OPT_BOOL && o->kind != ADA_OPT_STR && o->kind != ADA_OPT_LIST && isfinite(o->hi))
        n += snprintf(text + n, sizeof text - (size_t)n, "; %.16g..%.16g", o->lo, o->hi);
    if (o->def && o->kind != ADA_OPT_BOOL) snprintf(text + n, sizeof text - (size_t)n, " [%s]", o->def);
    ada_out_printf("%-*s", COLUMN, left);
    if ((int)strlen(left) > COLUMN - 2) ada_out_printf("\n%*s", COLUMN, "");
    ada_out_wrapped(text, COLUMN, WIDTH - COLUMN);
}

void ada_help_command(const struct ada_command *c) {
    ada_out_printf("adalink %s: %s\n\nusage: adalink %s", c->name, c->summary, c->name);
    for (const struct ada_opt *o = c->opts; o->kind != ADA_OPT_END; o++) {
        if (!o->need) continue;
        if (o->letter) {
            ada_out_printf(" -%c %s", o->letter, o->arg);
        } else {
            ada_out_printf(" --%s %s", o->name, o->arg);
        }
    }
    ada_out_printf(" [options]%s%s\n", c->operands ? " " : "", c->operands ? c->operands : "");
    if (c->text) {
        ada_out_printf("\n");
        ada_out_wrapped(c->text, 0, WIDTH);
    }
    if (c->opts->kind != ADA_OPT_HEADING) ada_out_printf("\noptions\n");
    for (const struct ada_opt *o = c->opts; o->kind != ADA_OPT_END; o++) {
        if (o->kind == ADA_OPT_HEADING) {
            ada_out_printf("\n%s\n", o->help);
        } else {
            print_option(o);
        }
    }
    if (c->examples) ada_out_printf("\nexamples\n%s", c->examples);
}

static void print_commands(void) {
    ada_out_printf("adalink: adapt frozen language models on CPUs through what goes into them\n\n"
                   "usage: adalink COMMAND [options]\n\ncommands\n");
    for (const struct ada_command *const *c = ada_commands; *c; c++)
        ada_out_printf("  %-10s%s\n", (*c)->name, (*c)->summary);
    ada_out_printf("\n'adalink help COMMAND' explains one, 'adalink help exit-codes' the exit codes;\n"
                   "'adalink help --completion bash' prints completions for the shell; 'adalink --version'.\n"
                   "Results go to standard output, all else to standard error.\n");
}

static void print_exit_codes(void) {
    ada_out_printf("exit codes\n");
#define S(name, value, exit, text)                                                                           \
    if ((name) != ADA_DONE && (name) != ADA_ECANCELED) ada_out_printf("  %3d  %s\n", exit, text);
#include "io/status.def"
#undef S
    ada_out_printf("  130  stopped by SIGINT, 143 by SIGTERM, 138 by SIGUSR1 (128 + the signal's number), "
                   "after saving\n");
}

/* One `case` branch a command: its options, the words of those that take one of a few, files for the rest. */
static void print_bash(void) {
    ada_out_printf("# bash completion of adalink; load it by: eval \"$(adalink help --completion bash)\"\n"
                   "_adalink() {\n"
                   "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
                   "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                   "        COMPREPLY=($(compgen -W '");
    for (const struct ada_command *const *c = ada_commands; *c; c++) ada_out_printf("%s ", (*c)->name);
    ada_out_printf("--version' -- \"$word\"))\n"
                   "        return\n"
                   "    fi\n"
                   "    case ${COMP_WORDS[1]}:$before in\n");
    for (const struct ada_command *const *c = ada_commands; *c; c++) {
        for (const struct ada_opt *o = (*c)->opts; o->kind != ADA_OPT_END; o++) {
            if (o->kind == ADA_OPT_HEADING || !o->words) continue;
            ada_out_printf("    %s:--%s) words='", (*c)->name, o->name);
            for (const char *p = o->words + (o->words[0] == '|'); *p; p++)
                ada_out_printf("%c", *p == '|' ? ' ' : *p);
            ada_out_printf("';;\n");
        }
    }
    ada_out_printf("    *) case ${COMP_WORDS[1]}:$word in\n");
    for (const struct ada_command *const *c = ada_commands; *c; c++) {
        ada_out_printf("        %s:-*) words='", (*c)->name);
        for (const struct ada_opt *o = (*c)->opts; o->kind != ADA_OPT_END; o++) {
            if (o->kind == ADA_OPT_HEADING) continue;
            bool negative = o->kind == ADA_OPT_BOOL && o->def && strcmp(o->def, "true") == 0;
            ada_out_printf("--%s%s ", negative ? "no-" : "", o->name);
        }
        ada_out_printf("--help';;\n");
    }
    ada_out_printf("        help:*) words='exit-codes");
    for (const struct ada_command *const *c = ada_commands; *c; c++) ada_out_printf(" %s", (*c)->name);
    ada_out_printf("';;\n"
                   "        esac;;\n"
                   "    esac\n"
                   "    if [ -n \"$words\" ]; then\n"
                   "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                   "    else\n"
                   "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
                   "    fi\n"
                   "}\n"
                   "complete -o filenames -F _adalink adalink\n");
}

struct help {
    struct ada_common common;
    const char *completion;
};

static ada_status run(struct ada_args *a, void *values) {
    const struct help *o = values;
    if (a->noperands > 1) return ada_fail(ADA_EINVAL, "unexpected argument '%s'", a->operands[1]);
    if (o->completion) {
        print_bash();
    } else if (a->noperands == 0) {
        print_commands();
    } else if (strcmp(a->operands[0], "exit-codes") == 0) {
        print_exit_codes();
    } else {
        const struct ada_command *c = ada_command_find(a->operands[0]);
        if (!c) return ada_fail(ADA_EINVAL, "there is no command '%s'; see 'adalink help'", a->operands[0]);
        ada_help_command(c);
    }
    return ADA_OK;
}

/* clang-format off */
static const struct ada_opt opts[] = {
    { .name = "completion", ADA_OPT_FIELD(struct help, completion), .arg = "SHELL", .words = "bash",
      .local = true,
      .help = "print completions for a shell; load them by: eval \"$(adalink help --completion bash)\"" },
    ADA_OPT_LAST,
};
/* clang-format on */

const struct ada_command ada_command_help = {
    .name = "help",
    .summary = "explain a command, or the exit codes",
    .operands = "[COMMAND | exit-codes]",
    .opts = opts,
    .size = sizeof(struct help),
    .run = run,
};
