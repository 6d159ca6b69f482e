/* SPDX-License-Identifier: Apache-2.0
 * Help and completion, printed from the tables of commands, options and status values.
 * The command `help` itself is here, since it belongs to the table of commands and not to meson.build's list.
 */
#ifndef ADA_APPS_HELP_H
#define ADA_APPS_HELP_H

#include "apps/opt.h"

extern const struct ada_command ada_command_help;
void ada_help_command(const struct ada_command *c);

#endif
