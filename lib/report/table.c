#include "report/table.h"
#include "base/memory.h"
#include "record/file.h"
#include "report/save.h"
#include <stdio.h>
#include <string.h>

/* The widest table of a study has 256 * 256 rows of 6. */
enum { TABLE_MAX_BYTES = 256 << 20, TABLE_MAX_COLUMNS = 1024, TABLE_MAX_CELLS = 1 << 21 };

/* Makes room for one more of the `used` pointers in list, `stride` at a time. */
static int list_grow(char ***list, int used, int capacity, int stride, struct message *m)
{
    char **grown = memory_resize(*list, (size_t)used * (size_t)stride * sizeof **list,
                                 (size_t)capacity * (size_t)stride, sizeof **list, m);
    if (!grown)
        return STATUS_NOMEM;
    *list = grown;
    return 0;
}

static char *copy_span(const char *from, size_t length, struct message *m)
{
    char *copy = memory_new_raw(length + 1, 1, m);
    if (copy) {
        memcpy(copy, from, length);
        copy[length] = '\0';
    }
    return copy;
}

/* ---- building ---- */

/* Takes the fields of one line, cut at `separator`, into fields[columns]; owned copies. All or none. */
static int fields_split(const char *line, size_t length, char separator, char **fields, int columns,
                        struct message *m)
{
    const char *end = line + length;
    for (int i = 0; i < columns; i++) {
        const char *stop = memchr(line, separator, (size_t)(end - line));
        stop = stop ? stop : end;
        fields[i] = copy_span(line, (size_t)(stop - line), m);
        if (!fields[i]) {
            while (i-- > 0)
                memory_free(fields[i]);
            return STATUS_NOMEM;
        }
        line = stop + 1;
    }
    return 0;
}

static int fields_count(const char *line, size_t length, char separator)
{
    int count = 1;
    for (size_t i = 0; i < length; i++)
        count += line[i] == separator;
    return count;
}

static int header_set(struct table *t, const char *line, size_t length, char separator, struct message *m)
{
    int columns = fields_count(line, length, separator);
    if (columns > TABLE_MAX_COLUMNS)
        return message_set(m, STATUS_FORMAT, "%d columns exceed the limit %d", columns, TABLE_MAX_COLUMNS);
    t->header = memory_new((size_t)columns, sizeof *t->header, m);
    if (!t->header)
        return STATUS_NOMEM;
    TRY(fields_split(line, length, separator, t->header, columns, m));
    t->columns = columns;
    for (int i = 0; i < columns; i++) {
        if (t->header[i][0] == '\0')
            return message_set(m, STATUS_FORMAT, "column %d has no name", i + 1);
        if (table_column(t, t->header[i]) != i)
            return message_set(m, STATUS_FORMAT, "column '%s' stands twice", t->header[i]);
    }
    return 0;
}

int table_columns(struct table *t, const char *names, struct message *m)
{
    return header_set(t, names, strlen(names), ' ', m);
}

static int note_add(struct table *t, const char *key, size_t key_length, const char *value, size_t value_length,
                    struct message *m)
{
    if (t->notes == t->note_capacity) {
        int capacity = t->note_capacity ? 2 * t->note_capacity : 16;
        TRY(list_grow(&t->note_keys, t->notes, capacity, 1, m));
        TRY(list_grow(&t->note_values, t->notes, capacity, 1, m));
        t->note_capacity = capacity;
    }
    char *key_copy = copy_span(key, key_length, m), *value_copy = copy_span(value, value_length, m);
    if (!key_copy || !value_copy) {
        memory_free(key_copy);
        memory_free(value_copy);
        return STATUS_NOMEM;
    }
    t->note_keys[t->notes] = key_copy;
    t->note_values[t->notes++] = value_copy;
    return 0;
}

int table_note(struct table *t, const char *key, const char *value, struct message *m)
{
    if (key[strcspn(key, ":\t\n")] || value[strcspn(value, "\n")])
        return message_set(m, STATUS_RANGE, "note '%s' does not fit on one line", key);
    return note_add(t, key, strlen(key), value, strlen(value), m);
}

static int row_add(struct table *t, const char *line, size_t length, struct message *m)
{
    int fields = fields_count(line, length, '\t');
    if (fields != t->columns)
        return message_set(m, STATUS_FORMAT, "%d fields, want %d", fields, t->columns);
    if (t->rows >= TABLE_MAX_CELLS / t->columns)
        return message_set(m, STATUS_FORMAT, "more than %d cells", TABLE_MAX_CELLS);
    if (t->rows == t->row_capacity) {
        int capacity = t->row_capacity ? 2 * t->row_capacity : 64;
        TRY(list_grow(&t->cells, t->rows, capacity, t->columns, m));
        t->row_capacity = capacity;
    }
    TRY(fields_split(line, length, '\t', t->cells + (size_t)t->rows * (size_t)t->columns, t->columns, m));
    t->rows++;
    return 0;
}

int table_rowf(struct table *t, struct message *m, const char *format, ...)
{
    char short_line[512], *line = short_line;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(short_line, sizeof short_line, format, args);
    va_end(args);
    if (length >= (int)sizeof short_line) {
        line = memory_new_raw((size_t)length + 1, 1, m);
        if (!line)
            return STATUS_NOMEM;
        va_start(args, format);
        vsnprintf(line, (size_t)length + 1, format, args);
        va_end(args);
    }
    int status = 0;
    if (length < 0 || memchr(line, '\n', (size_t)length))
        status = message_set(m, STATUS_RANGE, "row %d does not fit on one line", t->rows + 1);
    else if ((status = row_add(t, line, (size_t)length, m)) < 0)
        message_prefix(m, status, "row %d", t->rows + 1);
    if (line != short_line)
        memory_free(line);
    return status;
}

/* ---- writing ---- */

static int fields_print(char *const *fields, int columns, struct text *out, struct message *m)
{
    for (int i = 0; i < columns; i++)
        TRY(text_add(out, m, "%s%c", fields[i], i + 1 < columns ? '\t' : '\n'));
    return 0;
}

int table_print(const struct table *t, struct text *out, struct message *m)
{
    for (int i = 0; i < t->notes; i++)
        TRY(text_add(out, m, "# %s: %s\n", t->note_keys[i], t->note_values[i]));
    TRY(fields_print(t->header, t->columns, out, m));
    for (int i = 0; i < t->rows; i++)
        TRY(fields_print(t->cells + (size_t)i * (size_t)t->columns, t->columns, out, m));
    return 0;
}

int table_save(const struct table *t, const char *path, struct message *m)
{
    struct text text = {0};
    int status = table_print(t, &text, m);
    if (status >= 0)
        status = bytes_save(text.data, text.length, path, m);
    text_free(&text);
    return status;
}

/* ---- reading ---- */

/* `# key: value`; a comment of another form says nothing to us. */
static int note_parse(struct table *t, const char *line, size_t length, struct message *m)
{
    for (; length && (*line == '#' || *line == ' '); length--)
        line++;
    const char *colon = memchr(line, ':', length);
    if (!colon)
        return 0;
    const char *value = colon + 1, *end = line + length;
    while (value < end && *value == ' ')
        value++;
    return note_add(t, line, (size_t)(colon - line), value, (size_t)(end - value), m);
}

static int table_parse(struct table *t, const char *data, size_t length, struct message *m)
{
    const char *end = data + length;
    if (length == 0)
        return message_set(m, STATUS_FORMAT, "empty input");
    if (memchr(data, '\0', length))
        return message_set(m, STATUS_FORMAT, "offset %zu: a zero byte in a table", strlen(data));
    if (length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        return message_set(m, STATUS_FORMAT, "a byte order mark stands before the table");
    for (int number = 1; data < end; number++) {
        const char *stop = memchr(data, '\n', (size_t)(end - data));
        stop = stop ? stop : end;
        size_t span = (size_t)(stop - data);
        int status;
        if (memchr(data, '\r', span))
            status = message_set(m, STATUS_FORMAT, "a carriage return: lines of a table end in a line feed alone");
        else if (t->header)
            status = row_add(t, data, span, m);
        else if (*data == '#')
            status = note_parse(t, data, span, m);
        else
            status = header_set(t, data, span, '\t', m);
        if (status < 0)
            return message_prefix(m, status, "line %d", number);
        data = stop + 1;
    }
    if (!t->header)
        return message_set(m, STATUS_FORMAT, "no header line");
    return 0;
}

int table_load(struct table *t, const char *path, struct message *m)
{
    memset(t, 0, sizeof *t);
    struct text text = {0};
    int status = file_read(path, TABLE_MAX_BYTES, &text, m);
    if (status >= 0) {
        status = table_parse(t, text.data ? text.data : "", text.length, m);
        if (status < 0)
            message_prefix(m, status, "%s", strcmp(path, "-") == 0 ? "stdin" : path);
    }
    text_free(&text);
    if (status < 0)
        table_free(t);
    return status < 0 ? status : 0;
}

/* ---- looking ---- */

int table_column(const struct table *t, const char *name)
{
    for (int i = 0; i < t->columns; i++)
        if (strcmp(t->header[i], name) == 0)
            return i;
    return -1;
}

const char *table_cell(const struct table *t, int row, int column)
{
    return t->cells[(size_t)row * (size_t)t->columns + (size_t)column];
}

int table_number(const struct table *t, int row, const char *column, double low, double high, double *value,
                 struct message *m)
{
    int at = table_column(t, column);
    if (at < 0)
        return message_set(m, STATUS_FORMAT, "no column '%s'", column);
    int status = parse_number(table_cell(t, row, at), low, high, column, value, m);
    return status < 0 ? message_prefix(m, status, "row %d", row + 1) : 0;
}

const char *table_get_note(const struct table *t, const char *key)
{
    for (int i = 0; i < t->notes; i++)
        if (strcmp(t->note_keys[i], key) == 0)
            return t->note_values[i];
    return NULL;
}

int table_note_of(const struct table *t, const char *key, const char **value, struct message *m)
{
    *value = table_get_note(t, key);
    return *value ? 0 : message_set(m, STATUS_FORMAT, "no note '%s'", key);
}

void table_free(struct table *t)
{
    for (int i = 0; i < t->columns && t->header; i++)
        memory_free(t->header[i]);
    for (size_t i = 0; t->cells && i < (size_t)t->rows * (size_t)t->columns; i++)
        memory_free(t->cells[i]);
    for (int i = 0; i < t->notes; i++) {
        memory_free(t->note_keys[i]);
        memory_free(t->note_values[i]);
    }
    memory_free(t->header);
    memory_free(t->cells);
    memory_free(t->note_keys);
    memory_free(t->note_values);
    memset(t, 0, sizeof *t);
}
