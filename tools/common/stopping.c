#include "tools/common/stopping.h"
#include <stddef.h>

volatile sig_atomic_t stop_signal;
static const int stop_signals[] = {SIGINT, SIGTERM};
enum { STOP_SIGNALS = 2 };
static struct sigaction before[STOP_SIGNALS];

static void ask_to_stop(int signal_number)
{
    stop_signal = signal_number;
    for (int i = 0; i < STOP_SIGNALS; i++)
        sigaction(stop_signals[i], &before[i], NULL);
}

void stopping_begin(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < STOP_SIGNALS; i++)
        sigaddset(&action.sa_mask, stop_signals[i]);
    for (int i = 0; i < STOP_SIGNALS; i++) /* both known before either is caught */
        sigaction(stop_signals[i], NULL, &before[i]);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        if (before[i].sa_handler != SIG_IGN)
            sigaction(stop_signals[i], &action, NULL);
    }
}

void stopping_die(void)
{
    signal(stop_signal, SIG_DFL);
    raise(stop_signal);
}
