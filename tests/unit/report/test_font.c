/* What can be shown, how wide it is, what is drawn. The fonts are DejaVu's alone, whatever else is installed. */
#include "check.h"
#include "report/font.h"
#include <unistd.h>

#define DEJAVU "/usr/share/fonts/truetype/dejavu"

/* Makes fontconfig look for fonts in this folder alone. */
static void fonts_of(const char *folder)
{
    FILE *f = fopen(scratch("fonts.conf"), "w");
    assert_non_null(f);
    fprintf(f,
            "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig><dir>%s</dir>"
            "<cachedir>%s.cache</cachedir></fontconfig>",
            folder, scratch("fonts"));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(setenv("FONTCONFIG_FILE", scratch("fonts.conf"), 1), 0);
}

static struct font *opened(void)
{
    struct message m;
    struct font *font;
    if (access(DEJAVU "/DejaVuSans.ttf", R_OK) != 0)
        skip();
    fonts_of(DEJAVU);
    ASSERT_OK(font_open(&font, &m), m);
    return font;
}

static void assert_cleaned(const struct font *font, const char *s, int keep_missing, const char *want)
{
    struct message m;
    struct text out = {0};
    ASSERT_OK(font_clean(font, s, keep_missing, &out, &m), m);
    assert_string_equal(out.data, want);
    text_free(&out);
}

static void test_letters_without_a_glyph_are_boxes(void **state)
{
    (void)state;
    struct font *font = opened();
    assert_true(font_has(font, 'a') && font_has(font, 0xE9) && font_has(font, 0x416) && font_has(font, 0x25A1));
    assert_false(font_has(font, 0x732B) || font_has(font, 0x939) || font_has(font, 0x1F9A4));
    assert_cleaned(font, "猫 cat", 0, "□ cat");
    assert_cleaned(font, "हिन्दी", 0, "□□□□□□");
    assert_cleaned(font, "x🦤y", 0, "x□y");
    assert_cleaned(font, "猫 हि 🦤", 1, "猫 हि 🦤"); /* its viewer's fonts are not known */
    assert_cleaned(font, "naïve Жук ΑΩ €", 0, "naïve Жук ΑΩ €");
    font_close(font);
}

static void test_what_is_no_letter(void **state)
{
    (void)state;
    struct font *font = opened();
    for (int keep = 0; keep < 2; keep++) {
        assert_cleaned(font, "", keep, "");
        assert_cleaned(font, "a\tb\nc\x1b[31md\x7f", keep, "a?b?c?[31md?");
        assert_cleaned(font, "\xC2\x85 \xE2\x80\xA8 \xEF\xBF\xBF", keep, "? ? ?"); /* C1, line separator, U+FFFF */
        assert_cleaned(font, "\xFF\xC3(\xED\xA0\x80", keep,
                       "?"
                       "?(?"
                       "??"); /* not UTF-8; a surrogate */
        assert_cleaned(font,
                       "a\xE2\x80\xAE"
                       "b\xE2\x80\x8D"
                       "c\xEF\xB8\x8F",
                       keep, "abc"); /* direction, joiner, variation */
    }
    font_close(font);
}

static void test_widths_are_those_of_the_font(void **state)
{
    (void)state;
    struct font *font = opened();
    assert_near(font_width(font, FONT_PLAIN, ""), 0, 0);
    assert_near(font_width(font, FONT_PLAIN, "0"), 1303.0 / 2048, 1e-9); /* DejaVu Sans: all digits are as wide */
    assert_near(font_width(font, FONT_PLAIN, "0123456789"), 13030.0 / 2048, 1e-9);
    assert_near(font_width(font, FONT_BOLD, "0"), 1425.0 / 2048, 1e-9);
    assert_true(font_width(font, FONT_PLAIN, "WWW") > 2 * font_width(font, FONT_PLAIN, "iii"));
    font_close(font);
}

static void assert_shortened(struct font *font, const char *s, double most, const char *want)
{
    struct message m;
    struct text out = {0};
    ASSERT_OK(font_shorten(font, FONT_PLAIN, s, most, &out, &m), m);
    assert_string_equal(out.data, want);
    assert_true(font_width(font, FONT_PLAIN, out.data) <= fmax(most, 1.0001));
    text_free(&out);
}

static void test_long_texts_lose_their_middle(void **state)
{
    (void)state;
    struct font *font = opened();
    assert_shortened(font, "000", 3 * 1303.0 / 2048, "000");
    assert_shortened(font, "0123456789", 5, "0123…89");
    assert_shortened(font, "éééééééééé", 4, "ééé…é"); /* whole letters */
    assert_shortened(font, "0123456789", 0, "…");
    assert_shortened(font, "", 0, "");
    char name[801];
    memset(name, 'w', sizeof name - 1);
    name[799] = 'B', name[800] = '\0';
    struct message m;
    struct text out = {0};
    ASSERT_OK(font_shorten(font, FONT_BOLD, name, 16, &out, &m), m);
    assert_true(font_width(font, FONT_BOLD, out.data) <= 16 && font_width(font, FONT_BOLD, out.data) > 13);
    assert_int_equal(out.data[out.length - 1], 'B'); /* names that differ at the end only */
    text_free(&out);
    font_close(font);
}

struct box {
    int left, top, right, bottom, ink;
};

static void box_pixel(void *canvas, int x, int y, uint8_t share)
{
    struct box *b = canvas;
    b->left = x < b->left ? x : b->left;
    b->right = x > b->right ? x : b->right;
    b->top = y < b->top ? y : b->top;
    b->bottom = y > b->bottom ? y : b->bottom;
    b->ink += share;
}

static struct box drawn(struct font *font, const char *s)
{
    struct message m;
    struct box b = {1000, 1000, -1000, -1000, 0};
    ASSERT_OK(font_draw(font, FONT_PLAIN, 20, s, 50, 100, box_pixel, &b, &m), m);
    return b;
}

static void test_every_letter_is_drawn_in_the_texts_size(void **state)
{
    (void)state;
    struct font *font = opened();
    int last = 0;
    for (char c = 33; c < 127; c++) {
        struct box b = drawn(font, (char[]){c, '\0'});
        assert_true(b.ink > 0 && b.ink != last);
        last = b.ink;
        assert_true(b.left >= 48 && b.right <= 72 && b.top >= 82 && b.bottom <= 106);
    }
    struct box box = drawn(font, "□");
    assert_true(box.ink > 0 && box.right - box.left < 20 && box.bottom - box.top < 20);
    assert_int_equal(drawn(font, " ").ink, 0);
    struct box line = drawn(font, "0000");
    assert_true(line.right - line.left > 3 * 12 && line.right <= 50 + 20 * font_width(font, FONT_PLAIN, "0000"));
    font_close(font);
}

static void test_no_font_at_all(void **state)
{
    (void)state;
    struct message m;
    struct font *font;
    fonts_of("/nowhere");
    assert_int_equal(font_open(&font, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "no font: fontconfig finds none: install fonts-dejavu-core");
    font_close(font);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_without_a_glyph_are_boxes),
        cmocka_unit_test(test_what_is_no_letter),
        cmocka_unit_test(test_widths_are_those_of_the_font),
        cmocka_unit_test(test_long_texts_lose_their_middle),
        cmocka_unit_test(test_every_letter_is_drawn_in_the_texts_size),
        cmocka_unit_test(test_no_font_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
