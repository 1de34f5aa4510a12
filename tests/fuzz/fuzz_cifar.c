/* Any bytes as what a user may name with -d: an archive (of .bin files or pictures) or, after a first byte of 0,
 * one .bin file, as a lone picture, and as a path. What loads must be sound. */
#include "data/batch.h"
#include "data/dataset.h"
#include "data/member.h"
#include "data/picture.h"
#include "base/memory.h"
#include <fcntl.h>
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

/* A file in memory with a name that says nothing, or ends in .bin. */
static void file_make(char path[64], const uint8_t *bytes, size_t count, int is_bin)
{
    snprintf(path, 64, "/tmp/fuzz-cifar-%d%s", (int)getpid(), is_bin ? ".bin" : "");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    require(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
    close(fd);
}

static void set_exercise(const char *path, const char *split)
{
    struct message m = {{0}}, warning = {{0}};
    struct dataset d;
    if (dataset_load(&d, path, split, &warning, &m) < 0) {
        require(m.text[0] && !strchr(m.text, '\n'));
        return;
    }
    require(d.count > 0 && d.class_count >= 1 && d.class_count <= DATASET_MAX_CLASSES && d.name[0]);
    for (int64_t i = 0; i < d.count; i++)
        require(d.labels[i] < d.class_count);
    char *json = classes_to_json(d.classes, d.class_count, &m);
    memory_free(json); /* NULL where a name is not UTF-8 */
    double mean[3], deviation[3];
    int64_t *indices, selected;
    require(dataset_select(&d, "all", 0, 0, &indices, &selected, &m) == 0);
    dataset_statistics(&d, indices, selected, mean, deviation);
    memory_free(indices);
    dataset_free(&d);
}

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
    uint8_t image[IMAGE_BYTES];
    if (picture_decode(bytes, count, image, &m) < 0)
        require(m.text[0] != '\0');
    path_exercise(bytes, count);
    int is_bin = count > 0 && bytes[0] == 0;
    file_make(path, bytes + is_bin, count - (size_t)is_bin, is_bin);
    set_exercise(path, "train");
    set_exercise(path, "test");
    unlink(path);
    return 0;
}
