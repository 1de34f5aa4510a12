/* Archives of pictures whose members are told by the bytes, so that they are archives whatever the bytes: names of
 * any kind, folders, links, devices, good pictures and bad ones, twice the same. The first byte is the format;
 * then, for each member, one of what it is, and a line of its name ('/': the parts that a name has, as they come; a
 * capital letter stands for one that matters). */
#include "fuzz_dataset.h"
#include <archive.h>
#include <archive_entry.h>
#include <png.h>

enum { ARCHIVE_BYTES = 1 << 18, MEMBERS = 64, NAME_BYTES = 256 };

static uint8_t picture[4096];
static size_t picture_bytes;

static void picture_make(void)
{
    static uint8_t pixels[32 * 32 * 3];
    png_image image = {.version = PNG_IMAGE_VERSION, .width = 32, .height = 32, .format = PNG_FORMAT_RGB};
    picture_bytes = sizeof picture;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i / 96);
    require(png_image_write_to_memory(&image, picture, &picture_bytes, 0, pixels, 0, NULL));
}

/* The line at *bytes, spelled out. */
static void name_take(char name[NAME_BYTES], const uint8_t **bytes, const uint8_t *end)
{
    static const char *const words[26] = {
        "train",      "test",        "val",       "valid",  "validation", "cat",      "dog",
        ".png",       ".jpg",        ".JPEG",     ".bin",   "..",         ".",        "data_batch_",
        "test_batch", "__MACOSX",    "Thumbs.db", "@eaDir", "\xff",       "\xc3\xa9", "\xe7\x8c\xab",
        ".DS_Store",  "desktop.ini", "notes.txt", "a/b/c",  "\\"};
    size_t used = 0;
    for (; *bytes < end && **bytes != '\n'; ++*bytes) {
        uint8_t byte = **bytes;
        const char letter[2] = {(char)(byte ? byte : 1), '\0'},
                   *word = byte >= 'A' && byte <= 'Z' ? words[byte - 'A'] : letter;
        size_t length = strlen(word);
        if (used + length < NAME_BYTES) {
            memcpy(name + used, word, length);
            used += length;
        }
    }
    *bytes += *bytes < end;
    name[used] = '\0';
}

static void member_write(struct archive *a, uint8_t what, const char *name)
{
    static const unsigned types[] = {AE_IFREG, AE_IFREG, AE_IFREG, AE_IFREG,
                                     AE_IFDIR, AE_IFLNK, AE_IFCHR, AE_IFIFO};
    struct archive_entry *e = archive_entry_new();
    unsigned type = types[what % 8];
    size_t bytes = what & 8 ? picture_bytes - what % 61 : picture_bytes; /* some are cut */
    require(e != NULL);
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, type == AE_IFREG ? (la_int64_t)bytes : 0);
    if (type == AE_IFLNK)
        archive_entry_set_symlink(e, "../x");
    if (what & 16 && type == AE_IFREG && name[0])
        archive_entry_set_hardlink(e, name);
    if (archive_write_header(a, e) == ARCHIVE_OK && type == AE_IFREG && archive_entry_size(e) > 0)
        archive_write_data(a, picture, bytes);
    archive_entry_free(e);
}

static size_t archive_make(uint8_t *out, uint8_t format, const uint8_t *bytes, const uint8_t *end)
{
    size_t used = 0;
    struct archive *a = archive_write_new();
    require(a != NULL);
    switch (format % 4) {
    case 0:
        archive_write_set_format_ustar(a);
        break;
    case 1:
        archive_write_set_format_pax(a);
        break;
    case 2:
        archive_write_set_format_gnutar(a);
        break;
    default:
        archive_write_set_format_zip(a);
        archive_write_set_options(a, format & 4 ? "zip:compression=store" : "zip:compression=deflate");
    }
    require(archive_write_open_memory(a, out, ARCHIVE_BYTES, &used) == ARCHIVE_OK);
    for (int i = 0; i < MEMBERS && bytes < end; i++) {
        char name[NAME_BYTES];
        uint8_t what = *bytes++;
        name_take(name, &bytes, end);
        member_write(a, what, name);
    }
    archive_write_close(a);
    archive_write_free(a);
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static uint8_t archive[ARCHIVE_BYTES];
    char path[64];
    if (count < 2)
        return 0;
    if (!picture_bytes)
        picture_make();
    size_t used = archive_make(archive, bytes[0], bytes + 1, bytes + count);
    fuzz_file(path, "fuzz-pictures", bytes[0] % 4 == 3 ? ".zip" : ".tar", archive, used);
    int64_t train = fuzz_dataset(path, "train"), again = fuzz_dataset(path, "train");
    require(train == again && train <= MEMBERS);
    require(fuzz_dataset(path, "test") <= MEMBERS);
    unlink(path);
    return 0;
}
