/* Any bytes as a training run's checkpoint: the state that is taken writes back the same, values of any shape are
 * refused or taken whole, and its recipe compares with any. */
#include "fuzz.h"
#include "record/describe.h"
#include "train/checkpoint.h"
#include "train/log.h"
#include "record/recipe.h"

static const struct slice slices[] = {
    {.name = "a.weight", .rank = 2, .shape = {2, 3}, .offset = 0, .count = 6},
    {.name = "a.bias", .rank = 1, .shape = {2}, .offset = 16, .count = 2},
    {.name = "x.scale", .rank = 0, .offset = 32, .count = 1},
};

static void again(const struct record *from)
{
    static const char *const keys[] = {"epoch", "epoch-step", "step", "images-seen", "best-epoch", "log"};
    struct message m = {{0}};
    struct training_state s = {0}, t = {0};
    struct text differences = {0};
    struct record *record = record_new(&m), *second = record_new(&m);
    int status = checkpoint_take_state(from, &s, &m);
    require_reason(status, &m);
    if (status >= 0) {
        require(record && checkpoint_add_state(record, &s, &m) >= 0 && checkpoint_take_state(record, &t, &m) >= 0);
        require(second && checkpoint_add_state(second, &t, &m) >= 0);
        require(record_compare(record, second, &differences, &m) == 1);
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            require(record_get(record, keys[i]) != NULL);
    }
    text_free(&differences);
    training_state_free(&s);
    training_state_free(&t);
    record_free(record);
    record_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    float values[48];
    struct record *record = record_of(bytes, count);
    if (!record)
        return 0;
    require_reason(record_require_kind(record, "checkpoint", &m), &m);
    again(record);
    require_reason(checkpoint_take(record, "", slices, 3, values, &m), &m);
    require_reason(checkpoint_take(record, "momentum.", slices, 3, values, &m), &m);
    const char *recipe = record_get(record, "recipe");
    if (recipe) {
        require(recipe_compare(recipe, recipe, &m) >= 0);
        require_reason(recipe_compare(recipe, "a=1 b-c=2 train-fp32.major=0", &m), &m);
        require_reason(recipe_compare("a=1 b-c=2 train-fp32.major=0", recipe, &m), &m);
    }
    record_free(record);
    return 0;
}
