/* SPDX-License-Identifier: Apache-2.0
 * Signals become a flag, the flag a status; a second SIGTERM ends the process as the system would, a second
 * SIGUSR1 does not. Each case is a child process, since handlers stay. */
#include "apps/stop.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int child(int first, int second) {
    pid_t pid = fork();
    if (pid == 0) {
        ada_stop_catch();
        if (ada_stop_status() != ADA_OK) _exit(1);
        raise(first);
        if (ada_stop_signal() != first || ada_stop_status() != ADA_ECANCELED) _exit(2);
        if (strncmp(ada_error(), "stopped by SIG", 14) != 0) _exit(3);
        if (second) raise(second);
        ada_stop_clear();
        _exit(ada_stop_signal() == 0 ? 0 : 4);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static void test_flag(void **state) {
    (void)state;
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) assert_int_equal(child(numbers[i], 0), 0);
}

static void test_second(void **state) {
    (void)state;
    int status = child(SIGUSR1, SIGTERM);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_int_equal(child(SIGUSR1, SIGUSR1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flag), cmocka_unit_test(test_second)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
