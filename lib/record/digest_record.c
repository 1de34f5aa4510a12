/* The digest of a whole record: apart from digest.c, which the record's header stands on. */
#include "record/digest.h"
#include "record/header.h"

int digest_record(const struct record *r, char hex[DIGEST_HEX], struct message *m)
{
    struct layout layout;
    TRY(layout_make(&layout, r, 0, m));
    struct digest *d = digest_new(m);
    if (d) {
        digest_add(d, layout.header.data, layout.header.length);
        for (size_t i = 0; i < r->tensor_count; i++)
            digest_add(d, layout.order[i]->data, layout.order[i]->bytes);
        digest_finish(d, hex);
    }
    layout_free(&layout);
    return d ? STATUS_OK : STATUS_NOMEM;
}
