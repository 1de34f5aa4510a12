/* Any bytes as an ONNX file: what is taken is a verified model, goes out again, and comes back as the same tensors. */
#include "fuzz.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include <stdio.h>

static void there_and_back(const struct model *model)
{
    struct message m = {{0}};
    struct model back;
    char *bytes = NULL;
    size_t size = 0;
    const struct onnx_export_options how = {0};
    const struct onnx_import_options options = {0};
    FILE *f = open_memstream(&bytes, &size);
    require(f != NULL);
    int status = onnx_export(model, &how, f, &m);
    require_reason(status, &m);
    fclose(f);
    if (status >= 0) {
        status = onnx_import_bytes(&back, bytes, size, &options, &m);
        require_reason(status, &m);
        require(status >= 0 && back.record->tensor_count == model->record->tensor_count);
        model_free(&back);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    struct model model;
    const struct onnx_import_options options = {0};
    int status = onnx_import_bytes(&model, bytes, count, &options, &m);
    require_reason(status, &m);
    if (status < 0)
        return 0;
    require(model_verify(&model, &m) >= 0);
    there_and_back(&model);
    model_free(&model);
    return 0;
}
