#include "graph/model.h"
#include "graph/convert.h"
#include "graph/import.h"
#include "record/digest.h"
#include "record/stream.h"
#include <stdio.h>
#include <string.h>

void model_free(struct model *model)
{
    graph_free(&model->graph);
    record_free(model->record);
    model->record = NULL;
}

static int check_stage(const struct model *model, struct message *m)
{
    const char *said = record_get(model->record, "stage");
    const char *is = graph_stage_name(graph_stage(&model->graph));
    if (!said || strcmp(said, is) == 0)
        return 0;
    return message_set(m, STATUS_MISMATCH, "stage: says '%s', but the graph is at stage %s", said, is);
}

static int refuse_given(const struct model_given *given, struct message *m)
{
    if (!given || !(given->graph || given->has_normalize || given->has_eps))
        return 0;
    return message_set(m, STATUS_MISMATCH, "has a graph of its own: %s is for a state_dict, which has none",
                       given->graph           ? "--graph"
                       : given->has_normalize ? "--normalize"
                                              : "--eps");
}

static int take_record(struct model *model, const struct model_given *given, struct message *m)
{
    TRY(record_require_kind(model->record, "model", m));
    const char *text = record_get(model->record, "graph");
    struct state_dict_notes notes;
    if (text) {
        TRY(refuse_given(given, m));
        int status = graph_parse(&model->graph, text, m);
        if (status < 0)
            return message_prefix(m, status, "graph");
        if (graph_stage(&model->graph) != STAGE_INT8)
            TRY(tensors_widen(model->record, m));
    } else {
        TRY(state_dict_import(model->record, &model->graph, given, &notes, m));
    }
    TRY(check_stage(model, m));
    TRY(model_verify(model, m));
    if (!text)
        state_dict_warn(&model->graph, given, &notes);
    return 0;
}

int model_from_record_given(struct model *model, struct record *record, const struct model_given *given,
                            struct message *m)
{
    *model = (struct model){.record = record};
    int status = take_record(model, given, m);
    if (status < 0)
        model_free(model);
    return status;
}

int model_from_record(struct model *model, struct record *record, struct message *m)
{
    return model_from_record_given(model, record, NULL, m);
}

int model_load(struct model *model, const char *path, struct message *m)
{
    return model_load_given(model, path, NULL, m);
}

int model_load_given(struct model *model, const char *path, const struct model_given *given, struct message *m)
{
    struct record *record;
    *model = (struct model){0};
    TRY(record_load(&record, path, m));
    int status = model_from_record_given(model, record, given, m);
    if (status < 0)
        return message_prefix(m, status, "%s", path && strcmp(path, "-") != 0 ? path : "stdin");
    return status;
}

static int store_text(struct model *model, struct text *t, struct message *m)
{
    TRY(graph_print(&model->graph, t, m));
    TRY(record_set(model->record, "graph", t->data, m));
    TRY(record_set(model->record, "stage", graph_stage_name(graph_stage(&model->graph)), m));
    TRY(record_set(model->record, "format", "resq 1", m));
    return record_set(model->record, "kind", "model", m);
}

int model_store(struct model *model, struct message *m)
{
    struct text t = {0};
    int status = store_text(model, &t, m);
    text_free(&t);
    return status;
}

int model_copy(struct model *to, const struct model *from, struct message *m)
{
    *to = (struct model){0};
    TRY(graph_copy(&to->graph, &from->graph, m));
    to->record = record_copy(from->record, m);
    if (to->record)
        return 0;
    model_free(to);
    return STATUS_NOMEM;
}

int model_copy_resized(struct model *to, const struct model *from, int height, int width, struct message *m)
{
    TRY(model_copy(to, from, m));
    to->graph.nodes[0].h = height;
    to->graph.nodes[0].w = width;
    int status = graph_verify(&to->graph, m);
    if (status >= 0)
        status = model_verify(to, m);
    if (status < 0)
        model_free(to);
    return status;
}

int model_graph_digest(const struct model *model, char out[MODEL_DIGEST_SIZE], struct message *m)
{
    char hex[DIGEST_HEX];
    struct text t = {0};
    int status = graph_print(&model->graph, &t, m);
    if (status == 0) {
        digest_bytes(t.data, t.length, hex);
        snprintf(out, MODEL_DIGEST_SIZE, "sha256:%s", hex);
    }
    text_free(&t);
    return status;
}

int model_digest(const struct model *model, char out[MODEL_DIGEST_SIZE], struct message *m)
{
    char hex[DIGEST_HEX];
    TRY(digest_record(model->record, hex, m));
    snprintf(out, MODEL_DIGEST_SIZE, "sha256:%s", hex);
    return 0;
}
