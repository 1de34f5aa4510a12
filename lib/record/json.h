/* json.h: jansson where memory may run out. Its parser takes a failed allocation for a syntax error, loses bytes of
 * a string over it, or aborts; its printer goes on without a key that could not be added. For layers that use
 * jansson: they parse by json_parse and take json_exhausted for the truth. */
#ifndef RESQ_RECORD_JSON_H
#define RESQ_RECORD_JSON_H

#include <jansson.h>

/* json_loadb. A failed allocation ends it at once: NULL, nothing left allocated, json_exhausted() is 1; otherwise
 * NULL means that error says what is wrong with the text. */
json_t *json_parse(const char *text, size_t length, size_t flags, json_error_t *error);

void json_text_free(char *text); /* what json_dumps gives */

/* Before other calls to jansson: from here on failed allocations of this thread are noticed. */
void json_watch(void);
int json_exhausted(void); /* 1 where an allocation failed since json_watch or json_parse */

#endif
