#include "tools/common/device.h"
#include "exec/device/choose.h"
#include <stdio.h>
#include <string.h>

const char device_default[] = "auto";

int device_resolve(const struct tool *tool, struct device_arguments *a, int quiet, struct message *m)
{
    struct message why = {{0}};
    const char *name;
    TRY(device_choose(a->device, &name, &why, m));
    int is_asked = a->device != device_default || device_is_offered();
    if (strcmp(a->device, "auto") == 0 && is_asked && !quiet)
        fprintf(stderr, "%s: device %s: %s\n", tool_called(tool), name, why.text);
    a->device = name;
    return 0;
}
