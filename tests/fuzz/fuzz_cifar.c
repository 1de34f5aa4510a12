/* Any bytes as what a user may name with -d: an archive (of .bin files or pictures) or, after a first byte of 0,
 * one .bin file, as a lone picture, and as a path. What loads must be sound. */
#include "fuzz_dataset.h"
#include "data/member.h"
#include "data/picture.h"

/* The bytes as a path: tidy twice is tidy once, and what is found lies within it. */
static void path_exercise(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    struct member_path p;
    char path[512] = {0}, again[512];
    memcpy(path, bytes, count < sizeof path ? count : sizeof path - 1);
    member_tidy(path);
    strcpy(again, path);
    member_tidy(again);
    require(strcmp(path, again) == 0 && path[0] != '/' && !strstr(path, "//"));
    for (int is_folder = 0; is_folder < 2; is_folder++) {
        if (member_parse(path, is_folder, &p, &m) < 0)
            continue;
        require(p.root <= strlen(path) && p.folder >= 0 && p.folder < FOLDER_COUNT);
        if (p.kind != MEMBER_PICTURE)
            continue;
        char want[1024]; /* ROOT/SPLIT/CLASS/NAME is the path */
        snprintf(want, sizeof want, "%.*s%s%s/%s/%s", (int)p.root, path, p.root ? "/" : "", folder_names[p.folder],
                 p.class_name, p.name);
        require(!is_folder && strcmp(want, path) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char path[64];
    struct message m = {{0}};
    struct decoded image;
    require_reason(picture_decode(bytes, count, &image, &m), &m);
    decoded_free(&image);
    path_exercise(bytes, count);
    int is_bin = count > 0 && bytes[0] == 0;
    fuzz_file(path, "fuzz-cifar", is_bin ? ".bin" : "", bytes + is_bin, count - (size_t)is_bin);
    fuzz_dataset(path, "train");
    fuzz_dataset(path, "test");
    unlink(path);
    return 0;
}
