/* Says which GPU the backend works on, or in one line why on none; exit status 0 or 1. */
#include "kernel/contract/device.h"
#include <stdio.h>

int main(void)
{
    const struct device_backend *b = NULL;
    const struct device_options options = {0, 0};
    struct device *d = NULL;
    struct device_information i;
    struct message m = {{0}};
    if (device_backend_open("cuda", &b, &m) < 0 || b->open(&options, &d, &m) < 0 || b->information(d, &i, &m) < 0) {
        fprintf(stderr, "no GPU: %s\n", m.text);
        return 1;
    }
    printf("%s; %s; %zu MiB\n", i.name, i.library, i.memory >> 20);
    b->close(d);
    return 0;
}
