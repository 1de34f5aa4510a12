/* The grid is decoded again by libpng and looked at pixel by pixel. */
#include "check.h"
#include "base/memory.h"
#include "base/text.h"
#include "record/file.h"
#include "report/png_grid.h"
#include <png.h>

enum { SIDE = 4, SCALE = 3, IMAGE = SIDE * SIDE * 3 };

static uint8_t pixels[6][IMAGE];
static struct grid_cell cells[6];

static struct grid make(void)
{
    memset(cells, 0, sizeof cells);
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < IMAGE; k++)
            pixels[i][k] = (uint8_t)(i * 40 + k);
        cells[i].pixels = pixels[i];
        cells[i].lines[0].name = "cat";
        snprintf(cells[i].lines[0].more, GRID_MORE_SIZE, " %d", i);
    }
    return (struct grid){.title = "A title",
                         .subtitle = "and more",
                         .height = SIDE,
                         .width = SIDE,
                         .scale = SCALE,
                         .columns = 4,
                         .count = 6,
                         .cells = cells};
}

static const uint8_t *at(const struct picture *p, int x, int y)
{
    assert_true(x >= 0 && y >= 0 && x < p->width && y < p->height);
    return p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3;
}

/* Finds a picture's top left corner: where the enlarged block stands whole. */
static int find_image(const struct picture *p, const uint8_t *image, int *left, int *top)
{
    for (int y = 0; y + SIDE * SCALE <= p->height; y++) {
        for (int x = 0; x + SIDE * SCALE <= p->width; x++) {
            int same = 1;
            for (int r = 0; r < SIDE * SCALE && same; r++)
                for (int c = 0; c < SIDE * SCALE && same; c++)
                    same = memcmp(at(p, x + c, y + r), image + (r / SCALE * SIDE + c / SCALE) * 3, 3) == 0;
            if (same) {
                *left = x;
                *top = y;
                return 1;
            }
        }
    }
    return 0;
}

static void test_every_picture_stands_enlarged_in_its_place(void **state)
{
    (void)state;
    struct message m;
    struct picture p;
    struct grid g = make();
    int x[6], y[6];
    ASSERT_OK(grid_render(&g, &p, &m), m);
    for (int i = 0; i < 6; i++)
        assert_true(find_image(&p, pixels[i], &x[i], &y[i]));
    for (int i = 1; i < 4; i++) {
        assert_int_equal(y[i], y[0]);
        assert_true(x[i] >= x[i - 1] + SIDE * SCALE);
    }
    assert_int_equal(x[4], x[0]);
    assert_int_equal(x[5], x[1]);
    assert_true(y[4] > y[0] + SIDE * SCALE + 12);
    picture_free(&p);
}

static void test_a_wrong_one_is_framed_and_crossed(void **state)
{
    (void)state;
    struct message m;
    struct picture plain, marked;
    struct grid g = make();
    int x, y;
    ASSERT_OK(grid_render(&g, &plain, &m), m);
    assert_true(find_image(&plain, pixels[2], &x, &y));
    cells[2].is_marked = 1;
    ASSERT_OK(grid_render(&g, &marked, &m), m);
    const uint8_t *frame = at(&marked, x - 2, y + 5);
    assert_true(frame[0] > 150 && frame[1] < 60 && frame[2] < 60);
    assert_int_equal(marked.width, plain.width);
    assert_false(find_image(&marked, pixels[2], &x, &y)); /* the cross lies on it */
    assert_true(find_image(&marked, pixels[1], &x, &y));
    assert_true(find_image(&marked, pixels[3], &x, &y));
    picture_free(&plain);
    picture_free(&marked);
}

static int ink_in(const struct picture *p, int left, int top, int width, int height)
{
    int ink = 0;
    for (int y = top; y < top + height; y++)
        for (int x = left; x < left + width && x < p->width; x++)
            ink += at(p, x, y)[0] < 160;
    return ink;
}

static void test_captions_differ_and_long_ones_are_cut(void **state)
{
    (void)state;
    struct message m;
    struct picture p;
    struct grid g = make();
    int x, y, next, line = SIDE * SCALE + 6;
    char longest[] = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww";
    cells[0].lines[0].name = longest;
    cells[1].lines[0] = (struct grid_caption){.name = NULL};
    ASSERT_OK(grid_render(&g, &p, &m), m);
    assert_true(find_image(&p, pixels[1], &next, &y));
    assert_int_equal(ink_in(&p, next, y + line, SIDE * SCALE, 24), 0); /* 0's caption ends before 1 begins */
    assert_true(find_image(&p, pixels[0], &x, &y));
    assert_true(ink_in(&p, x, y + line, next - x, 24) > 10);
    int whole = ink_in(&p, x, y + line, next - x, 24);
    picture_free(&p);
    cells[0].lines[0].more[0] = '\0'; /* the number at the end was whole: without it the name has its room */
    ASSERT_OK(grid_render(&g, &p, &m), m);
    assert_int_not_equal(ink_in(&p, x, y + line, next - x, 24), whole);
    picture_free(&p);
}

static void test_the_file_is_the_picture_and_the_same_each_time(void **state)
{
    (void)state;
    struct message m;
    struct picture p;
    struct grid g = make();
    struct text once = {0}, twice = {0};
    ASSERT_OK(grid_save(&g, scratch("grid.png"), &m), m);
    ASSERT_OK(file_read(scratch("grid.png"), 1 << 20, &once, &m), m);
    ASSERT_OK(grid_save(&g, scratch("grid.png"), &m), m);
    ASSERT_OK(file_read(scratch("grid.png"), 1 << 20, &twice, &m), m);
    assert_int_equal(once.length, twice.length);
    assert_memory_equal(once.data, twice.data, once.length);
    ASSERT_OK(grid_render(&g, &p, &m), m);
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&image, once.data, once.length));
    image.format = PNG_FORMAT_RGB;
    assert_int_equal(image.width, p.width);
    assert_int_equal(image.height, p.height);
    uint8_t *decoded = memory_new(PNG_IMAGE_SIZE(image), 1, &m);
    assert_non_null(decoded);
    assert_true(png_image_finish_read(&image, NULL, decoded, 0, NULL));
    assert_memory_equal(decoded, p.pixels, PNG_IMAGE_SIZE(image));
    memory_free(decoded);
    picture_free(&p);
    text_free(&once);
    text_free(&twice);
}

static void test_empty_places_and_impossible_grids(void **state)
{
    (void)state;
    struct message m;
    struct picture p;
    struct grid g = make();
    int x, y;
    cells[5].pixels = NULL;
    ASSERT_OK(grid_render(&g, &p, &m), m);
    assert_true(find_image(&p, pixels[4], &x, &y));
    assert_false(find_image(&p, pixels[5], &x, &y));
    picture_free(&p);
    g.count = 0;
    assert_int_equal(grid_render(&g, &p, &m), STATUS_RANGE);
    g = make();
    g.columns = 0;
    assert_int_equal(grid_render(&g, &p, &m), STATUS_RANGE);
    g = make();
    g.height = g.width = 1024;
    g.scale = GRID_MAX_SCALE;
    assert_int_equal(grid_render(&g, &p, &m), STATUS_RANGE);
}

static void test_long_text_above_is_cut_too(void **state)
{
    (void)state;
    struct message m;
    struct picture p;
    struct grid g = make();
    char text[4001];
    memset(text, 'W', sizeof text - 1);
    text[4000] = '\0';
    g.title = g.subtitle = g.legend = text;
    ASSERT_OK(grid_render(&g, &p, &m), m);
    assert_in_range(p.width, GRID_TEXT_WIDTH, GRID_TEXT_WIDTH + 100);
    assert_int_equal(ink_in(&p, p.width - 15, 0, 15, p.height), 0);
    picture_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_picture_stands_enlarged_in_its_place),
        cmocka_unit_test(test_a_wrong_one_is_framed_and_crossed),
        cmocka_unit_test(test_captions_differ_and_long_ones_are_cut),
        cmocka_unit_test(test_the_file_is_the_picture_and_the_same_each_time),
        cmocka_unit_test(test_empty_places_and_impossible_grids),
        cmocka_unit_test(test_long_text_above_is_cut_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
