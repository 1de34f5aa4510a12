/* stopping.h: SIGINT and SIGTERM as a request to save and stop, for programs that leave a checkpoint. */
#ifndef RESQ_TOOLS_STOPPING_H
#define RESQ_TOOLS_STOPPING_H

#include <signal.h>

/* The signal that asked to stop, 0: none yet. A second one finds the handler of before. */
extern volatile sig_atomic_t stop_signal;
/* From now on, but for signals that are ignored. */
void stopping_begin(void);
/* Dies by stop_signal, so that shell and make see a program that did. */
void stopping_die(void);

#endif
