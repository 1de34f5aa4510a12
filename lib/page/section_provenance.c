/* section_provenance.c: how everything here came to be, and the tables themselves. */
#include "base/memory.h"
#include "page/page.h"
#include "page/section.h"
#include "record/file.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_LINES = 200, MOST_STAGES = 300, SMALL_FILE = 1 << 20 };

/* ---- lineage ---- */

/* made-by: a program a line, a second input's lines indented by two spaces under the program that read it. */
static void tree(struct html *h, const char *made_by)
{
    int lines = 0;
    html_raw(h, "<ul class=\"tree\">\n");
    while (*made_by && lines++ < MOST_LINES) {
        int depth = (int)strspn(made_by, " ") / 2, length = (int)strcspn(made_by, "\n");
        const char *program = made_by + strspn(made_by, " ");
        int rest = length - (int)(program - made_by), name = (int)strcspn(program, " \n");
        char *line = memory_printf(h->m, "%.*s", rest, program);
        if (!line) {
            html_check(h, STATUS_NOMEM);
            return;
        }
        html_put(h, "<li class=\"d%d\"><b>", depth > 8 ? 8 : depth);
        char *options = line + (name < rest ? name : rest);
        char cut = *options;
        *options = '\0';
        html_put(h, "%.80s</b>", line);
        *options = cut;
        html_put(h, "<code>%.2000s</code></li>\n", options);
        memory_free(line);
        made_by += length + (made_by[length] == '\n');
    }
    html_raw(h, "</ul>\n");
    if (*made_by)
        html_raw(h, "<p>More lines are left out; <code>inspect made-by</code> has them.</p>\n");
}

static void lineages(struct html *h, const struct run *r)
{
    const struct record *best = NULL;
    const char *name = NULL;
    for (int i = 0; i < r->model_count; i++) { /* the longest tells most */
        const char *now = record_get(r->models[i].model.record, "made-by");
        const char *then = best ? record_get(best, "made-by") : "";
        if (now && strlen(now) > strlen(then)) {
            best = r->models[i].model.record;
            name = r->models[i].name;
        }
    }
    if (!best)
        return;
    html_put(h,
             "<h3>Lineage of %s</h3>\n<p>Each program that it went through, with every option that could change "
             "the result; "
             "indented: how its further inputs were made.</p>\n",
             name);
    tree(h, record_get(best, "made-by"));
}

/* ---- digests ---- */

static void digests(struct html *h, const struct run *r)
{
    if (r->model_count == 0)
        return;
    html_raw(h, "<h3>Model files</h3>\n");
    frame_open(h, "Model files and their digests", "");
    html_raw(h, "<thead><tr><th scope=\"col\">file</th><th scope=\"col\">stage</th><th scope=\"col\">bytes</th><th "
                "scope=\"col\">"
                "parameters</th><th scope=\"col\" class=\"words\">quantization</th><th scope=\"col\" "
                "class=\"words\">digest</th></tr></thead><tbody>\n");
    for (int i = 0; i < r->model_count; i++) {
        const struct run_model *x = &r->models[i];
        const char *how = record_get(x->model.record, "quantization");
        html_put(h,
                 "<tr><th "
                 "scope=\"row\">%s</th><td>%s</td><td>%lld</td><td>%lld</td><td>%.300s</td><td><code>%s</code></"
                 "td></tr>\n",
                 x->name, graph_stage_name(x->stage), (long long)x->bytes,
                 (long long)model_parameter_elements(&x->model), how ? how : "-", x->digest);
    }
    html_raw(h, "</tbody>");
    frame_close(h);
}

/* ---- stages: .work/NAME.ms and NAME.stamp ---- */

static int is_stage(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    /* This page's own time is not known yet. */
    return length > 3 && strcmp(entry->d_name + length - 3, ".ms") == 0 && strcmp(entry->d_name, "report.ms") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* A line of a stamp that a reader can use: no digest, no file alone, and no place on somebody's disk. */
static int is_command(const char *line)
{
    size_t length = strlen(line);
    return *line != ' ' && *line != '/' && !strstr(line, " /") && strncmp(line, "OPENBLAS_CORETYPE=", 18) != 0 &&
           !(length > 4 && strcmp(line + length - 4, ".tsv") == 0);
}

/* Reads .work/STEMend: 1, or 0 where it is not there. */
static int work_file(struct html *h, const struct run *r, struct text *text, const char *stem, int length,
                     const char *end)
{
    struct stat info;
    char *path = memory_printf(h->m, "%s/.work/%.*s%s", r->path, length, stem, end);
    int status = path ? 0 : STATUS_NOMEM;
    if (path && stat(path, &info) != 0)
        status = errno == ENOENT ? 0 : message_errno(h->m, "%s", path);
    else if (path)
        status = (status = file_read(path, SMALL_FILE, text, h->m)) < 0 ? status : 1;
    memory_free(path);
    html_check(h, status);
    return status == 1;
}

/* What the stage's stamp says that it ran, without the digests below each command. */
static void put_command(struct html *h, const struct run *r, const char *stage, int length)
{
    struct text text = {0};
    int family =
        (int)strcspn(stage, "-"); /* evaluate-float and evaluate-ptq have one stamp; so have the many charts */
    if (work_file(h, r, &text, stage, length, ".stamp") ||
        (family < length && strncmp(stage, "plot", 4) != 0 && work_file(h, r, &text, stage, family, ".stamp"))) {
        char *save = NULL;
        for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            if (is_command(line))
                html_put(h, "<code>%.2000s</code><br>", line);
    }
    text_free(&text);
}

static void stage_row(struct html *h, const struct run *r, const char *name)
{
    struct text text = {0};
    int length = (int)strlen(name) - 3;
    int64_t ms;
    char *stage = memory_printf(h->m, "%.*s", length, name);
    html_check(h, stage ? 0 : STATUS_NOMEM);
    if (stage && work_file(h, r, &text, name, length, ".ms")) {
        text.data[strcspn(text.data, "\n")] = '\0';
        if (parse_integer(text.data, 0, INT64_MAX, "ms", &ms, NULL) >= 0) {
            html_put(h, "<tr><th scope=\"row\">%.100s</th><td>%.2f</td><td class=\"words\">", stage,
                     (double)ms / 1000);
            put_command(h, r, name, length);
            html_raw(h, "</td></tr>\n");
        }
    }
    text_free(&text);
    memory_free(stage);
}

static void stages(struct html *h, const struct run *r)
{
    struct dirent **entries = NULL;
    char *path = memory_printf(h->m, "%s/.work", r->path);
    html_check(h, path ? 0 : STATUS_NOMEM);
    int count = path ? scandir(path, &entries, is_stage, by_bytes) : 0;
    if (count < 0 && errno != ENOENT)
        html_check(h, message_errno(h->m, "%s", path));
    memory_free(path);
    if (count > 0) {
        html_raw(h, "<h3>Seconds a stage</h3>\n");
        frame_open(h, "Seconds that each stage took when it last ran, and what it ran", "sort");
        html_raw(h, "<thead><tr><th scope=\"col\">stage</th><th scope=\"col\">seconds</th><th "
                    "scope=\"col\" class=\"words\">command</th></tr></thead>"
                    "<tbody>\n");
    }
    for (int i = 0; i < count; i++) {
        if (i < MOST_STAGES)
            stage_row(h, r, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (count > 0) {
        html_raw(h, "</tbody>");
        frame_close(h);
    }
}

/* ---- the section ---- */

static void data_lines(struct html *h, const struct run *r)
{
    static const char *const keys[] = {"dataset", "dataset-digest", "split", "part", "isa"};
    html_raw(h, "<dl>");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = run_note(r, keys[i]);
        if (*value)
            html_put(h, "<dt>%s</dt><dd><code>%s</code></dd>", keys[i], value);
    }
    for (int i = 0; r->bench && i < r->bench->notes; i++)
        html_put(h, "<dt>%s</dt><dd><code>%.300s</code></dd>", r->bench->note_keys[i], r->bench->note_values[i]);
    html_raw(h, "</dl>\n");
}

void section_provenance(struct html *h, const struct run *r)
{
    section_open(h, "provenance", "How it was made", NULL);
    data_lines(h, r);
    lineages(h, r);
    digests(h, r);
    stages(h, r);
    section_close(h);
}

void section_files(struct html *h, const struct run *r)
{
    section_open(h, "files", "Tables to take along", "Every table of the run, inside of this page.");
    if (r->table_count == 0)
        section_missing(h, "No tables here.");
    else
        html_raw(h, "<ul>\n");
    for (int i = 0; i < r->table_count; i++) {
        const struct run_table *t = &r->tables[i];
        size_t need = t->bytes.length / 3 * 4 + 4096;
        if (h->text.length + need > PAGE_MAX_BYTES) {
            html_put(h, "<li>%s: %zu bytes, left out to keep the page small; it stands beside it</li>\n", t->name,
                     t->bytes.length);
            continue;
        }
        html_put(h, "<li><a download=\"%s\" href=\"", t->name);
        html_data(h, "text/tab-separated-values", t->bytes.data, t->bytes.length);
        html_put(h, "\">%s</a>, %d rows</li>\n", t->name, t->table.rows);
    }
    if (r->table_count)
        html_raw(h, "</ul>\n");
    section_close(h);
}
