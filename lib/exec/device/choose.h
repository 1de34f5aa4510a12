/* choose.h: which device computes. */
#ifndef RESQ_EXEC_DEVICE_CHOOSE_H
#define RESQ_EXEC_DEVICE_CHOOSE_H

#include "base/status.h"

/* "cpu" (NULL and "" too), "cuda", or "auto": a GPU where one works, else the CPU. *name is what runs. why (may be
 * NULL): one line, the GPU's name and libraries, or what is wrong with it. A device that was asked for by name and
 * does not work is the failure itself, STATUS_UNSUPPORTED or what the device said; so is an unknown name. A device,
 * and its failure, is found out once and kept for the rest of the process. */
int device_choose(const char *device, const char **name, struct message *why, struct message *m) RESQ_USE_RESULT;

/* Which of the machine's devices this process takes: the one of number `index` modulo how many there are. Before a
 * device is opened; 0 where nobody says. */
void device_prefer(int index);

/* 1 where there is a backend that could be tried: it was named, or lies where it is looked for. */
int device_is_offered(void);

/* Closes all devices and forgets what was found out; nothing may use them any more. */
void devices_close(void);

#endif
