/* SPDX-License-Identifier: Apache-2.0
 * Signals → one flag. Owns: the handlers and the number of the signal that came.
 * Must not know: what is being stopped. Invariant: a handler only stores, or gives the signal back to the
 * system. */
#include "apps/stop.h"
#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t came;

static void on_signal(int number) {
    if (came && number != SIGUSR1) {
        signal(number, SIG_DFL);
        raise(number);
    }
    came = number;
}

void ada_stop_catch(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_handler = on_signal; /* no SA_RESTART: a read that waits for a person is woken */
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &act, NULL);
}

int ada_stop_signal(void) {
    return came;
}
void ada_stop_clear(void) {
    came = 0;
}

ada_status ada_stop_status(void) {
    int n = came;
    if (!n) return ADA_OK;
    const char *name = n == SIGINT ? "SIGINT" : n == SIGTERM ? "SIGTERM" : "SIGUSR1";
    return ada_fail(ADA_ECANCELED, "stopped by %s", name);
}
