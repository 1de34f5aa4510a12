/* classify: which of its classes a network sees in a picture of its size. The network is a file that emit-c made:
 *
 *     emit-c -m MODEL -o net.c --header net.h
 *     cc -O3 -I. pipelines/examples/classify.c net.c -lpng -o classify
 *     ./classify PICTURE.png
 */
#include "net.h"
#include <png.h>
#include <stdio.h>

static png_byte pixels[NET_HEIGHT * NET_WIDTH][4]; /* red, green, blue, alpha */
static uint8_t image[NET_HEIGHT * NET_WIDTH][3];
static float logits[NET_CLASSES], arena[NET_ARENA_BYTES / sizeof(float) + 1];

int main(int argc, char **argv)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (argc != 2 || !png_image_begin_read_from_file(&png, argv[1]))
        return fprintf(stderr, "classify: %s\n", argc != 2 ? "want one PNG file" : png.message), 1;
    png.format = PNG_FORMAT_RGBA;
    if (png.width != NET_WIDTH || png.height != NET_HEIGHT || !png_image_finish_read(&png, NULL, pixels, 0, NULL))
        return fprintf(stderr, "classify: %s: want %d x %d pixels\n", argv[1], NET_WIDTH, NET_HEIGHT), 1;
    for (int i = 0; i < NET_HEIGHT * NET_WIDTH; i++)
        for (int c = 0; c < 3; c++)
            image[i][c] = pixels[i][c];
    int class = net_run(image[0], logits, arena);
    if (class < 0)
        return fprintf(stderr, "classify: the weights are not this network's\n"), 1;
    printf("%s: %s, %g\n", argv[1], net_classes[class], (double)logits[class]);
    return 0;
}
