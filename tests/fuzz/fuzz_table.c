/* Any bytes as a table: what is read prints, and what was printed reads as the same; every chart of it is a text
 * for gnuplot, or a reason. Nothing of the table stands in that text outside quotes and numbers. */
#include "report/chart.h"
#include <sanitizer/lsan_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_reason(int status, const struct message *m)
{
    require(status >= 0 || (m->text[0] && !strchr(m->text, '\n')));
}

/* Outside quotes, the letters of numbers, names and gnuplot's few words; quotes end on their line. */
static void require_quoted(const struct text *script)
{
    char quote = 0;
    for (const char *s = script->data; *s; s++) {
        if (quote) {
            require(*s != '\n');
            quote = *s == quote ? 0 : quote;
        } else if (*s == '\'' || *s == '"') {
            quote = *s;
        } else {
            require(strchr("\n\t $<_=.[]-+", *s) || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
                    (*s >= 'A' && *s <= 'Z'));
        }
    }
    require(!quote);
}

static void charts_exercise(const struct table *t)
{
    static struct font *font; /* opened once: its fonts are the machine's */
    struct message m = {{0}};
    const char *const label = table_get_note(t, "label");
    const char *const labels[] = {label ? label : "x"};
    if (!font) {
        __lsan_disable(); /* fontconfig keeps pointers as offsets, which look like leaks */
        require(font_open(&font, &m) == 0);
        __lsan_enable();
    }
    for (int kind = 0; kind < 6; kind++) {
        struct chart c = {.font = font, .format = kind % 2 ? CHART_SVG : CHART_PNG};
        int status = kind < 2    ? chart_curves(&c, t, labels, 1, kind, &m)
                     : kind == 2 ? chart_confusion(&c, t, &m)
                                 : chart_compare(&c, t, (enum chart_bars)(kind - 3), &m);
        require_reason(status, &m);
        if (status >= 0)
            require_quoted(&c.text);
        c.font = NULL;
        chart_free(&c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static char path[64];
    struct message m = {{0}};
    struct table t, again;
    struct text first = {0}, second = {0};
    snprintf(path, sizeof path, "/tmp/fuzz_table.%ld.tsv", (long)getpid());
    FILE *f = fopen(path, "w");
    require(f && fwrite(bytes, 1, count, f) == count && fclose(f) == 0);
    int status = table_load(&t, path, &m);
    require_reason(status, &m);
    if (status == 0) {
        require(table_print(&t, &first, &m) == 0 && table_save(&t, path, &m) == 0);
        require(table_load(&again, path, &m) == 0 && table_print(&again, &second, &m) == 0);
        require(strcmp(first.data, second.data) == 0);
        charts_exercise(&again);
        table_free(&again);
    }
    remove(path);
    text_free(&first);
    text_free(&second);
    table_free(&t);
    return 0;
}
