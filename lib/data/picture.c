#include "data/picture.h"
#include "data/dataset.h"
#include "data/unread.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>
#include <png.h>

/* ---- JPEG ---- */

struct jpeg_errors {
    struct jpeg_error_mgr base; /* first: libjpeg hands this address back */
    jmp_buf escape;
    struct message *message;
};

static void jpeg_fail(j_common_ptr jpeg)
{
    struct jpeg_errors *errors = (struct jpeg_errors *)jpeg->err;
    char text[JMSG_LENGTH_MAX];
    errors->base.format_message(jpeg, text);
    message_set(errors->message, STATUS_FORMAT, "%s", text);
    longjmp(errors->escape, 1);
}

/* Level -1 is "the data are corrupt, going on with a guess"; a guess is no picture. Others are traces. */
static void jpeg_complain(j_common_ptr jpeg, int level)
{
    if (level < 0)
        jpeg_fail(jpeg);
}

static int jpeg_size_check(struct jpeg_decompress_struct *jpeg, struct message *m)
{
    if (jpeg->image_width == IMAGE_SIDE && jpeg->image_height == IMAGE_SIDE)
        return 0;
    return message_set(m, STATUS_FORMAT, "picture is %ux%u pixels, want 32x32", jpeg->image_width,
                       jpeg->image_height);
}

/* a * b / 255, rounded, as Pillow has it. */
static int scale_255(int a, int b)
{
    int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

/* Four inks to red, green and blue in Pillow's arithmetic. JPEG's inks are stored as what they leave of the light
 * (Adobe's habit, which Pillow takes for granted): 255 - value is the ink. */
static void inks_convert(const JSAMPLE *inks, uint8_t *out)
{
    for (int x = 0; x < IMAGE_SIDE; x++)
        for (int c = 0; c < 3; c++) {
            int light = inks[4 * x + 3], colour = light - scale_255(255 - inks[4 * x + c], light);
            out[3 * x + c] = (uint8_t)(colour < 0 ? 0 : colour);
        }
}

static void jpeg_read_rows(struct jpeg_decompress_struct *jpeg, uint8_t *image)
{
    JSAMPLE inks[4 * IMAGE_SIDE];
    int is_inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = is_inks ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < IMAGE_SIDE) {
        uint8_t *out = image + jpeg->output_scanline * 3 * IMAGE_SIDE;
        JSAMPROW row = is_inks ? inks : out;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (is_inks)
            inks_convert(inks, out);
    }
}

static int decode_jpeg(const void *bytes, size_t count, uint8_t *image, struct message *m)
{
    struct jpeg_errors errors = {.message = m};
    struct jpeg_decompress_struct jpeg;
    memset(&jpeg, 0, sizeof jpeg); /* so that destroy is harmless when create fails */
    jpeg.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = jpeg_fail;
    errors.base.emit_message = jpeg_complain;
    if (setjmp(errors.escape)) {
        jpeg_destroy_decompress(&jpeg);
        return STATUS_FORMAT;
    }
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, bytes, (unsigned long)count);
    jpeg_read_header(&jpeg, TRUE);
    if (jpeg_size_check(&jpeg, m) < 0) {
        jpeg_destroy_decompress(&jpeg);
        return STATUS_FORMAT;
    }
    jpeg_read_rows(&jpeg, image);
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return 0;
}

/* ---- PNG ---- */

struct png_source {
    const uint8_t *bytes;
    size_t count, offset;
    struct message *message;
};

static void png_fail(png_structp png, png_const_charp text)
{
    struct png_source *source = png_get_error_ptr(png);
    message_set(source->message, STATUS_FORMAT, "%s", text);
    png_longjmp(png, 1);
}

/* Only about ancillary chunks, which hold no pixels. */
static void png_complain(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void png_take(png_structp png, png_bytep out, size_t count)
{
    struct png_source *source = png_get_io_ptr(png);
    if (count > source->count - source->offset)
        png_error(png, "picture ends early");
    memcpy(out, source->bytes + source->offset, count);
    source->offset += count;
}

static void png_read_rgb(png_structp png, png_infop info, uint8_t *image)
{
    png_read_info(png, info);
    png_uint_32 width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    if (width != IMAGE_SIDE || height != IMAGE_SIDE) {
        char text[80];
        snprintf(text, sizeof text, "picture is %ux%u pixels, want 32x32", width, height);
        png_error(png, text);
    }
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != 3 * IMAGE_SIDE)
        png_error(png, "pixels cannot be made RGB");
    png_bytep rows[IMAGE_SIDE];
    for (int y = 0; y < IMAGE_SIDE; y++)
        rows[y] = image + y * 3 * IMAGE_SIDE;
    png_read_image(png, rows);
    png_read_end(png, NULL);
}

static int decode_png(const void *bytes, size_t count, uint8_t *image, struct message *m)
{
    struct png_source source = {.bytes = bytes, .count = count, .message = m};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, png_fail, png_complain);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return message_set(m, STATUS_NOMEM, "memory exhausted in the PNG decoder");
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return STATUS_FORMAT;
    }
    png_set_read_fn(png, &source, png_take);
    png_set_chunk_malloc_max(png, 1 << 20);
    png_read_rgb(png, info, image);
    png_destroy_read_struct(&png, &info, NULL);
    return 0;
}

int picture_decode(const void *bytes, size_t count, uint8_t *image, struct message *m)
{
    const uint8_t *b = bytes;
    if (count == 0)
        return message_set(m, STATUS_FORMAT, "empty input");
    if (count >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff)
        return decode_jpeg(bytes, count, image, m);
    if (count >= 8 && png_sig_cmp(b, 0, 8) == 0)
        return decode_png(bytes, count, image, m);
    const char *foreign = unread_content(bytes, count);
    if (foreign)
        return message_set(m, STATUS_FORMAT, "%s", foreign);
    return message_set(m, STATUS_FORMAT, "neither a JPEG nor a PNG picture");
}
