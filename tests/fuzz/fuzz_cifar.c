/* Any bytes as what a user may name with -d: an archive (of .bin files or pictures) or, after a first byte of 0,
 * one .bin file, and as a lone picture. What loads must be sound. */
#include "fuzz_dataset.h"
#include "data/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char path[64];
    struct message m = {{0}};
    uint8_t image[IMAGE_BYTES];
    require_reason(picture_decode(bytes, count, image, &m), &m);
    int is_bin = count > 0 && bytes[0] == 0;
    fuzz_file(path, "fuzz-cifar", is_bin ? ".bin" : "", bytes + is_bin, count - (size_t)is_bin);
    fuzz_dataset(path, "train");
    fuzz_dataset(path, "test");
    unlink(path);
    return 0;
}
