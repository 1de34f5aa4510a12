/* sets.h: what the tests of this folder share: folders of their own, small data sets, pictures. */
#ifndef TESTS_UNIT_DATA_SETS_H
#define TESTS_UNIT_DATA_SETS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jpeglib.h>
#include <png.h>
#include "data/dataset.h"

/* Fails the test with the library's reason. */
#define ASSERT_OK(call) assert_ok_at((call), #call, __FILE__, __LINE__)
/* Fails the test unless the call fails with this status and a one-line reason that holds `part`. */
#define ASSERT_FAILS(call, status, part) assert_fails_at((call), (status), (part), #call, __FILE__, __LINE__)

static struct message m; /* every call's */

static inline void assert_ok_at(int status, const char *call, const char *file, int line)
{
    if (status >= 0)
        return;
    print_error("%s: %d: %s\n", call, status, m.text);
    _fail(file, line);
}

static inline void assert_fails_at(int status, int want, const char *part, const char *call, const char *file,
                                   int line)
{
    if (status == want && strstr(m.text, part) && !strchr(m.text, '\n'))
        return;
    print_error("%s: %d '%s', want %d '..%s..'\n", call, status, m.text, want, part);
    _fail(file, line);
}

static inline const char *temporary_folder(void)
{
    static char folder[256];
    if (!folder[0]) {
        const char *parent = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/resq-data-XXXXXX", parent ? parent : "/tmp");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

static inline int temporary_folder_remove(void **state)
{
    char command[512];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", temporary_folder());
    return system(command);
}

/* FOLDER/name in one of eight static buffers. */
static inline const char *temporary_path(const char *name)
{
    static char paths[8][1024];
    static int next;
    next = (next + 1) % 8;
    snprintf(paths[next], sizeof paths[next], "%s/%s", temporary_folder(), name);
    return paths[next];
}

/* Writes FOLDER/name, making the folders on the way. */
static inline const char *file_write(const char *name, const void *bytes, size_t count)
{
    const char *path = temporary_path(name);
    char part[1024];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        mkdir(part, 0777);
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* count records: label i % classes, every pixel a function of `seed` and where it stands; the caller's to free. */
static inline uint8_t *records_make(int count, int classes, int seed)
{
    uint8_t *bytes = malloc((size_t)count * CIFAR_RECORD_BYTES);
    assert_non_null(bytes);
    for (int i = 0; i < count; i++) {
        uint8_t *record = bytes + i * CIFAR_RECORD_BYTES;
        record[0] = (uint8_t)(i % classes);
        for (int p = 0; p < IMAGE_BYTES; p++)
            record[1 + p] = (uint8_t)(seed + 31 * i + p + p / 1024 * 57);
    }
    return bytes;
}

/* A picture [32,32,3] that is smooth, so that JPEG keeps it nearly, and says which it is. */
static inline void image_make(uint8_t *image, int which)
{
    for (int y = 0; y < IMAGE_SIDE; y++)
        for (int x = 0; x < IMAGE_SIDE; x++) {
            image[3 * (y * IMAGE_SIDE + x)] = (uint8_t)(which * 7);
            image[3 * (y * IMAGE_SIDE + x) + 1] = (uint8_t)(4 * x);
            image[3 * (y * IMAGE_SIDE + x) + 2] = (uint8_t)(4 * y + 50);
        }
}

/* A PNG in memory: side x side, colour type and depth as given, filled with image_make(which) where it is 32x32
 * RGB. */
static inline size_t png_make(uint8_t out[8192], int side, int which)
{
    uint8_t image[64 * 64 * 3] = {0};
    png_image png = {
        .version = PNG_IMAGE_VERSION, .width = (unsigned)side, .height = (unsigned)side, .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = 8192;
    if (side == IMAGE_SIDE)
        image_make(image, which);
    else
        for (size_t i = 0; i < sizeof image; i++)
            image[i] = (uint8_t)(which * 31 + (int)i * 7);
    assert_true(png_image_write_to_memory(&png, out, &size, 0, image, 0, NULL));
    return size;
}

/* count pixels a row of `components` in the colour space given, as JPEG. */
static inline size_t jpeg_compress(uint8_t out[8192], int side, const uint8_t *image, int components, int space)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = jpeg.image_height = (unsigned)side;
    jpeg.input_components = components;
    jpeg.in_color_space = (J_COLOR_SPACE)space;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        const uint8_t *row = image + jpeg.next_scanline * (unsigned)components * (unsigned)side;
        JSAMPROW rows[1] = {(JSAMPROW)(uintptr_t)row};
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    assert_true(size < 8192);
    memcpy(out, bytes, size);
    free(bytes);
    return size;
}

static inline size_t jpeg_make(uint8_t out[8192], int side, int which)
{
    uint8_t image[64 * 64 * 3] = {0};
    if (side == IMAGE_SIDE)
        image_make(image, which);
    return jpeg_compress(out, side, image, 3, JCS_RGB);
}

/* One colour of four inks throughout. */
static inline size_t cmyk_make(uint8_t out[8192], const uint8_t inks[4])
{
    uint8_t image[IMAGE_SIDE * IMAGE_SIDE * 4];
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = inks[i % 4];
    return jpeg_compress(out, IMAGE_SIDE, image, 4, JCS_CMYK);
}

#endif
