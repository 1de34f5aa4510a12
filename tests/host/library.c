/* The device in ordinary memory as the programs' tests load it. RESQ_HOST says what it is to do wrong:
 * `fail_call=12 memory=100000 overflows=3 no_capture=1 no_open=1 version=99`. */
#include "kernel/device/host/host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

device_backend_entry resq_device_backend;

static long long number_of(const char *text, const char *key)
{
    const char *at = text ? strstr(text, key) : NULL;
    return at ? atoll(at + strlen(key)) : 0;
}

const struct device_backend *resq_device_backend(void)
{
    const char *text = getenv("RESQ_HOST");
    host_control.fail_call = number_of(text, "fail_call=");
    host_control.memory = (size_t)number_of(text, "memory=");
    host_control.overflows = (int)number_of(text, "overflows=");
    host_control.no_capture = (int)number_of(text, "no_capture=");
    if (number_of(text, "no_open="))
        host_control.no_open = "no device: the driver says so";
    static struct device_backend other; /* as a library of another build would be */
    other = *host_backend();
    other.version = number_of(text, "version=") ? (int)number_of(text, "version=") : other.version;
    return &other;
}
