/* html.h: the one writer of pages and cards. A format's own characters are markup and the program's; whatever comes
 * in by %s is text from elsewhere, and is escaped for the form. So no name can become markup, whoever wrote it. */
#ifndef RESQ_REPORT_HTML_H
#define RESQ_REPORT_HTML_H

#include "base/status.h"
#include "base/text.h"

enum html_form {
    HTML_PAGE,     /* text and quoted attributes alike: & < > " ' become references */
    HTML_MARKDOWN, /* a line of Markdown, a table's cell too: what has a meaning there gets a backslash */
    HTML_YAML      /* inside of a double-quoted YAML (and JSON) string */
};

/* All-zero but for m is an empty page. A failure stays in status and ends all writing: it is checked once, at the
 * end. */
struct html {
    struct text text;
    enum html_form form;
    int status;
    struct message *m;
};

/* printf's %d %lld %zu %f %e %g %c %s %% with flags, width and precision (without `*`). In every form control
 * characters, bytes that are not UTF-8, marks that turn the direction of writing and code points that are no
 * characters become U+FFFD; line ends and tabs become spaces but in HTML_YAML, where they are written out. The
 * precision of %s counts letters (of more, the last becomes an ellipsis); a character of %c is the program's. */
void html_put(struct html *h, const char *format, ...) RESQ_PRINTF(2, 3);
/* Markup as it is. Never for anything that was read. */
void html_raw(struct html *h, const char *markup);
/* "data:TYPE;base64,..": for a quoted attribute; any bytes. */
void html_data(struct html *h, const char *type, const void *bytes, size_t count);
void html_base64(struct html *h, const void *bytes, size_t count);
void html_free(struct html *h);

#endif
