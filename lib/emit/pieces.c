/* The functions that an emitted source is made of: which are needed, and their texts. */
#include "emit/emit_state.h"

/* lib/emit/code/NAME.c99 as strings: the build makes them (pipelines/build.mk). */
#define PIECE(name, needs) extern const char emit_code_##name[];
#include "emit/pieces.inc"
#undef PIECE

#define NEED(name) (UINT64_C(1) << PIECE_##name)

static const struct {
    const char *text;
    uint64_t needs;
} pieces[] = {
#define PIECE(name, needs) {emit_code_##name, needs},
#include "emit/pieces.inc"
#undef PIECE
};

_Static_assert(PIECE_COUNT <= 64, "a bit a piece");

void need(struct emit *e, enum piece piece)
{
    e->needed |= UINT64_C(1) << piece;
    for (int i = 0; i < PIECE_COUNT; i++)
        if (pieces[piece].needs >> i & 1)
            need(e, (enum piece)i);
}

void put_piece(struct emit *e, struct text *t, enum piece piece)
{
    put(e, t, "%s", pieces[piece].text);
}

void put_pieces(struct emit *e, struct text *t)
{
    for (int i = 0; i < PIECE_COUNT; i++)
        if (e->needed >> i & 1)
            put(e, t, "%s\n", pieces[i].text); /* an empty line behind each */
}
