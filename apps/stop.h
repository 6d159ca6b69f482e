/* SPDX-License-Identifier: Apache-2.0
 * Signals → one flag. A command that can end well (save, close) asks for them and looks at the flag between
 * steps; the others keep the system's way. A second SIGINT or SIGTERM ends the process at once. */
#ifndef ADA_APPS_STOP_H
#define ADA_APPS_STOP_H

#include "io/status.h"

void ada_stop_catch(void); /* SIGINT, SIGTERM, SIGUSR1 from now on set the flag */
int ada_stop_signal(void); /* the signal that came, or 0 */
void ada_stop_clear(void);
ada_status ada_stop_status(void) ADA_MUST_USE; /* ADA_OK, or ECANCELED naming the signal */

#endif
