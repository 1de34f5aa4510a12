/* digest.h: CRC-32 (zlib) and SHA-256 (nettle). */
#ifndef RESQ_RECORD_DIGEST_H
#define RESQ_RECORD_DIGEST_H

#include "record/record.h"
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_HEX = 65 }; /* 64 hex digits and a NUL */

uint32_t digest_crc32(uint32_t crc, const void *bytes, size_t count); /* start with 0 */

struct digest; /* opaque running SHA-256 */
struct digest *digest_new(struct message *m) RESQ_USE_RESULT;
void digest_add(struct digest *d, const void *bytes, size_t count);
void digest_finish(struct digest *d, char hex[DIGEST_HEX]); /* also frees d */
void digest_bytes(const void *bytes, size_t count, char hex[DIGEST_HEX]);
int digest_file(const char *path, char hex[DIGEST_HEX], struct message *m) RESQ_USE_RESULT;
/* Of a record's content: names, types, shapes, data and all metadata but crc32, in canonical order; the same for a
 * record in memory and after a round trip through a file. */
int digest_record(const struct record *r, char hex[DIGEST_HEX], struct message *m) RESQ_USE_RESULT;

#endif
