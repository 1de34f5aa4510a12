#include "tools/common/report_pages.h"
#include "base/memory.h"
#include "report/ablation.h"
#include "report/summary.h"
#include "report/sweep.h"
#include "tools/common/model_file.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one table ---- */

static int sweep_print(char *const *operands, int count, struct text *out, struct message *m)
{
    struct table t;
    struct sweep s = {0};
    TRY(table_load(&t, operands[0], m));
    int status = sweep_of_table(&s, &t, m);
    if (status >= 0)
        status = sweep_page(&s, operands + 1, count - 1, out, m);
    if (status < 0)
        message_prefix(m, status, "%s", operands[0]);
    sweep_free(&s);
    table_free(&t);
    return status;
}

static int ablation_print(char *const *operands, int count, struct text *out, struct message *m)
{
    struct table t;
    struct ablation a = {0};
    (void)count;
    TRY(table_load(&t, operands[0], m));
    int status = ablation_of_table(&a, &t, m);
    if (status >= 0)
        status = ablation_page(&a, out, m);
    if (status < 0)
        message_prefix(m, status, "%s", operands[0]);
    ablation_free(&a);
    table_free(&t);
    return status;
}

static int table_markdown(char *const *operands, int count, struct text *out, struct message *m)
{
    struct table t;
    (void)count;
    TRY(table_load(&t, operands[0], m));
    int status = summary_print(&t, out, m);
    if (status < 0)
        message_prefix(m, status, "%s", operands[0]);
    table_free(&t);
    return status;
}

/* ---- the joined table: METRICS of each model, BENCH, NAME=BYTES of each model ---- */

static int bytes_take(char *const *operands, int64_t bytes[SUMMARY_MODELS], struct message *m)
{
    for (int i = 0; i < SUMMARY_MODELS; i++) {
        const char *name = summary_models[i];
        size_t length = strlen(name);
        if (strncmp(operands[i], name, length) != 0 || operands[i][length] != '=')
            return message_set(m, STATUS_RANGE, "'%s' is not %s=BYTES", operands[i], name);
        TRY(parse_integer(operands[i] + length + 1, 1, (int64_t)1 << 50, name, &bytes[i], m));
    }
    return 0;
}

static int tables_load(struct table *tables, char *const *paths, int count, struct message *m)
{
    for (int i = 0; i < count; i++)
        TRY(table_load(&tables[i], paths[i], m));
    return 0;
}

static int joined_print(char *const *operands, int count, struct text *out, struct message *m)
{
    enum { BENCH = SUMMARY_MODELS, TABLES };
    struct table tables[TABLES] = {0}, summary = {0};
    int64_t bytes[SUMMARY_MODELS];
    (void)count;
    TRY(bytes_take(operands + TABLES, bytes, m));
    int status = tables_load(tables, operands, TABLES, m);
    if (status >= 0)
        status = summary_make(&summary, tables, &tables[BENCH], bytes, m);
    if (status >= 0)
        status = table_print(&summary, out, m);
    for (int i = 0; i < TABLES; i++)
        table_free(&tables[i]);
    table_free(&summary);
    return status;
}

/* ---- a run's README ---- */

static int in_folder(const char *folder, const char *name, struct table *t, struct message *m)
{
    char *path = memory_printf(m, "%s/%s", folder, name);
    int status = path ? table_load(t, path, m) : STATUS_NOMEM;
    memory_free(path);
    return status;
}

/* The float model's name without its width. */
static int network_of(const char *folder, struct text *out, struct message *m)
{
    struct file_summary file = {0};
    char *path = memory_printf(m, "%s/best_float_model.safetensors", folder);
    int status = path ? record_check(path, &file, m) : STATUS_NOMEM;
    if (status >= 0 && (status = file_network(&file, NULL, out, m)) < 0)
        message_prefix(m, status, "%s", path);
    if (status >= 0) {
        char *end = strstr(out->data, ", width ");
        out->data[end ? (size_t)(end - out->data) : strcspn(out->data, "\n")] = '\0';
    }
    record_free(file.first);
    memory_free(path);
    return status;
}

static int page_fill(struct summary_page *p, const char *folder, struct text *network, struct message *m)
{
    static const char *const pairs[] = {"float-ptq.pair.tsv", "float-qat.pair.tsv", "ptq-qat.pair.tsv"};
    TRY(in_folder(folder, "summary.tsv", &p->summary, m));
    for (int i = 0; i < SUMMARY_MODELS; i++)
        TRY(in_folder(folder, pairs[i], &p->pairs[i], m));
    TRY(network_of(folder, network, m));
    p->network = network->data;
    char *curve = memory_printf(m, "%s/charts/loss.png", folder);
    p->has_curves = curve && access(curve, F_OK) == 0;
    memory_free(curve);
    return curve ? 0 : STATUS_NOMEM;
}

static int run_print(char *const *operands, int count, struct text *out, struct message *m)
{
    struct text network = {0};
    struct summary_page p = {0};
    char *full = realpath(operands[0], NULL);
    (void)count;
    if (!full)
        return message_errno(m, "%s: cannot open", operands[0]);
    const char *slash = strrchr(full, '/');
    p.name = slash && slash[1] ? slash + 1 : full;
    int status = page_fill(&p, full, &network, m);
    if (status >= 0 && (status = summary_page_print(&p, out, m)) < 0)
        message_prefix(m, status, "%s", operands[0]);
    table_free(&p.summary);
    for (int i = 0; i < SUMMARY_MODELS; i++)
        table_free(&p.pairs[i]);
    text_free(&network);
    free(full);
    return status;
}

static const struct report_kind kinds[] = {
    {"run", 1, 1, run_print},           {"summary", 2 * SUMMARY_MODELS + 1, 2 * SUMMARY_MODELS + 1, joined_print},
    {"table", 1, 1, table_markdown},    {"sweep", 1, REPORT_MAX_OPERANDS, sweep_print},
    {"ablation", 1, 1, ablation_print},
};

const struct report_kind *report_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}
