/* foreign.h: what a file is that is no record: for the message. */
#ifndef RESQ_RECORD_FOREIGN_H
#define RESQ_RECORD_FOREIGN_H

#include <stddef.h>

enum { FOREIGN_BYTES = 512 }; /* as many of a file's first bytes tell all that is known here */

/* "is a PyTorch checkpoint (.pth, .pt): convert it in Python: ..", a static text without its subject, from a file's
 * first bytes; NULL where they are of no known kind, or begin a safetensors file. */
const char *foreign_describe(const unsigned char *bytes, size_t count);

#endif
