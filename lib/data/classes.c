#include "data/batch.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/utf8.h"
#include "record/json.h"
#include <string.h>

void classes_free(char **classes, int count)
{
    for (int i = 0; classes && i < count; i++)
        memory_free(classes[i]);
    memory_free(classes);
}

char *classes_to_json(char *const *classes, int count, struct message *m)
{
    json_t *list = json_array();
    int status = list ? 0 : -1;
    for (int i = 0; i < count && status == 0; i++) {
        if (!text_is_utf8(classes[i])) {
            message_set(m, STATUS_FORMAT, "class %d: the name '%s' is not UTF-8", i, classes[i]);
            json_decref(list);
            return NULL;
        }
        status = json_array_append_new(list, json_string(classes[i]));
    }
    char *text = status == 0 ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    char *copy = NULL;
    if (text)
        copy = memory_strdup(text, m); /* jansson's memory is not ours */
    else
        message_set(m, STATUS_NOMEM, "memory exhausted: %d class names", count);
    json_text_free(text);
    return copy;
}

/* A name becomes a column of a table and a line of a file. */
static int class_check(const json_t *item, int index, struct message *m)
{
    const char *name = json_string_value(item);
    if (!name || !*name)
        return message_set(m, STATUS_FORMAT, "classes: item %d is not a name", index);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return message_set(m, STATUS_FORMAT, "classes: item %d holds a control character", index);
    return 0;
}

static int list_copy(const json_t *list, char ***classes, int *count, struct message *m)
{
    size_t size = json_array_size(list);
    if (!json_is_array(list) || size < 1 || size > DATASET_MAX_CLASSES)
        return message_set(m, STATUS_FORMAT, "classes: want a JSON list of 1 to %d names", DATASET_MAX_CLASSES);
    char **names = memory_new(size, sizeof *names, m);
    int status = names ? 0 : STATUS_NOMEM;
    for (size_t i = 0; i < size && status >= 0; i++) {
        const json_t *item = json_array_get(list, i);
        status = class_check(item, (int)i, m);
        if (status >= 0 && !(names[i] = memory_strdup(json_string_value(item), m)))
            status = STATUS_NOMEM;
    }
    if (status < 0) {
        classes_free(names, (int)size);
        return status;
    }
    *classes = names;
    *count = (int)size;
    return 0;
}

int classes_from_json(const char *json, char ***classes, int *count, struct message *m)
{
    json_error_t error;
    json_t *list = json_parse(json, strlen(json), JSON_REJECT_DUPLICATES, &error);
    if (!list && json_exhausted())
        return message_set(m, STATUS_NOMEM, "memory exhausted: class names");
    if (!list)
        return message_set(m, STATUS_FORMAT, "classes: %s at position %d", error.text, error.position);
    int status = list_copy(list, classes, count, m);
    json_decref(list);
    return status;
}
