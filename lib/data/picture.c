#include "data/picture.h"
#include "data/unread.h"
#include "base/memory.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>
#include <png.h>

static const char exif_mark[6] = "Exif\0";

void decoded_free(struct decoded *d)
{
    memory_free(d->pixels);
    memory_free(d->scratch);
    *d = (struct decoded){0};
}

/* Room for a picture of this size. */
static int decoded_begin(struct decoded *d, uint32_t height, uint32_t width, int channels, struct message *m)
{
    if ((uint64_t)height * width > PICTURE_MAX_PIXELS)
        return message_set(m, STATUS_FORMAT, "picture is %ux%u pixels, more than %d in all", width, height,
                           PICTURE_MAX_PIXELS);
    d->shape = (struct image_shape){(int)height, (int)width, channels};
    d->pixels = memory_new_raw(image_shape_bytes(d->shape), 1, m);
    return d->pixels ? 0 : STATUS_NOMEM;
}

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

/* a * b / 255, rounded, as Pillow has it. */
static int scale_255(int a, int b)
{
    int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

/* Four inks to red, green and blue in Pillow's arithmetic. JPEG's inks are stored as what they leave of the light
 * (Adobe's habit, which Pillow takes for granted): 255 - value is the ink. */
static void inks_convert(const JSAMPLE *inks, int width, uint8_t *out)
{
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) {
            int light = inks[4 * x + 3], colour = light - scale_255(255 - inks[4 * x + c], light);
            out[3 * x + c] = (uint8_t)(colour < 0 ? 0 : colour);
        }
}

static void jpeg_read_rows(struct jpeg_decompress_struct *jpeg, struct decoded *out)
{
    int is_inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    size_t line = (size_t)out->shape.width * (size_t)out->shape.channels;
    JSAMPARRAY inks = NULL; /* libjpeg's, which frees it with all else */
    jpeg->out_color_space = is_inks ? JCS_CMYK : out->shape.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(jpeg);
    if (is_inks)
        inks = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, 4 * jpeg->output_width, 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = out->pixels + jpeg->output_scanline * line;
        JSAMPROW row = is_inks ? inks[0] : to;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (is_inks)
            inks_convert(row, out->shape.width, to);
    }
}

static int jpeg_orientation(const struct jpeg_decompress_struct *jpeg)
{
    const size_t mark = sizeof exif_mark;
    for (jpeg_saved_marker_ptr p = jpeg->marker_list; p; p = p->next)
        if (p->data_length > mark && memcmp(p->data, exif_mark, mark) == 0)
            return exif_orientation(p->data + mark, p->data_length - mark);
    return 1;
}

/* Whatever is allocated belongs to jpeg or out. */
static int jpeg_read(struct jpeg_decompress_struct *jpeg, const void *bytes, size_t count, struct decoded *out,
                     int *orientation, struct message *m)
{
    jpeg_create_decompress(jpeg);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_mem_src(jpeg, bytes, (unsigned long)count);
    jpeg_read_header(jpeg, TRUE);
    int channels = jpeg->jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
    TRY(decoded_begin(out, jpeg->image_height, jpeg->image_width, channels, m));
    *orientation = jpeg_orientation(jpeg);
    jpeg_read_rows(jpeg, out);
    jpeg_finish_decompress(jpeg);
    return 0;
}

static int decode_jpeg(const void *bytes, size_t count, struct decoded *out, int *orientation, struct message *m)
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
    int status = jpeg_read(&jpeg, bytes, count, out, orientation, m);
    jpeg_destroy_decompress(&jpeg);
    return status;
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

static int png_orientation(png_structp png, png_infop info)
{
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 count = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(png, info, &count, &exif) && exif)
        return exif_orientation(exif, count);
#endif
    (void)png;
    (void)info;
    return 1;
}

/* Whatever is allocated belongs to png or out. */
static int png_read(png_structp png, png_infop info, struct decoded *out, int *orientation, struct message *m)
{
    png_read_info(png, info);
    png_uint_32 width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    int channels = png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR ? 3 : 1;
    TRY(decoded_begin(out, height, width, channels, m));
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t line = (size_t)width * (size_t)channels;
    if (png_get_rowbytes(png, info) != line)
        png_error(png, "pixels cannot be made RGB");
    png_bytep *rows = memory_new(height, sizeof *rows, m);
    if (!rows)
        return STATUS_NOMEM;
    out->scratch = rows;
    for (png_uint_32 y = 0; y < height; y++)
        rows[y] = out->pixels + y * line;
    png_read_image(png, rows);
    png_read_end(png, info);
    *orientation = png_orientation(png, info);
    return 0;
}

static int decode_png(const void *bytes, size_t count, struct decoded *out, int *orientation, struct message *m)
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
    int status = png_read(png, info, out, orientation, m);
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

static int decode(const void *bytes, size_t count, struct decoded *out, int *orientation, struct message *m)
{
    const uint8_t *b = bytes;
    if (count == 0)
        return message_set(m, STATUS_FORMAT, "empty input");
    if (count >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff)
        return decode_jpeg(bytes, count, out, orientation, m);
    if (count >= 8 && png_sig_cmp(b, 0, 8) == 0)
        return decode_png(bytes, count, out, orientation, m);
    const char *foreign = unread_content(bytes, count);
    if (foreign)
        return message_set(m, STATUS_FORMAT, "%s", foreign);
    return message_set(m, STATUS_FORMAT, "neither a JPEG nor a PNG picture");
}

int picture_decode(const void *bytes, size_t count, struct decoded *out, struct message *m)
{
    int orientation = 1;
    *out = (struct decoded){0};
    int status = decode(bytes, count, out, &orientation, m);
    if (status >= 0)
        status = decoded_orient(out, orientation, m);
    if (status < 0)
        decoded_free(out);
    return status;
}
