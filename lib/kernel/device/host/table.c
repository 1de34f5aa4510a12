#include "kernel/device/host/queue.h"

const struct device_backend *host_backend(void)
{
    static struct device_backend table = {.version = DEVICE_VERSION, .size = sizeof table, .name = "cuda"};
    if (!table.open) {
        host_table_device(&table);
        host_table_memory(&table);
        host_table_conv(&table);
        host_table_norm(&table);
        host_table_floats(&table);
        host_table_loss(&table);
        host_table_integers(&table);
        host_table_codes(&table);
    }
    return &table;
}
