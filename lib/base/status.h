/* status.h: how every library function reports failure.
 *
 * Functions return 0 or a positive value on success and one of the negative codes below on failure; the reason,
 * one line without a trailing full stop, is left in a caller-owned `struct message`. The library never prints,
 * exits or asserts on input: only tools do. */
#ifndef RESQ_BASE_STATUS_H
#define RESQ_BASE_STATUS_H

#include <stdarg.h>

enum status {
    STATUS_OK = 0,
    STATUS_NOMEM = -1,       /* an allocation failed; the text names the size asked */
    STATUS_IO = -2,          /* the operating system refused; the text ends in strerror's words */
    STATUS_FORMAT = -3,      /* malformed bytes: text names field or byte offset */
    STATUS_TRUNCATED = -4,   /* input ended early */
    STATUS_MISMATCH = -5,    /* well-formed input that does not fit: wrong kind, stage, shape, data set */
    STATUS_RANGE = -6,       /* a value outside its range, NaN and Inf included */
    STATUS_UNSUPPORTED = -7, /* asked for something this build or machine cannot do */
    STATUS_INTERRUPTED = -8, /* a signal asked to stop */
    STATUS_PIPE = -9         /* the reader of our output closed (EPIPE): exit quietly */
};

enum { MESSAGE_SIZE = 1024 };

/* Reason of a failure; one line, NUL-terminated. All-zero is the empty message. */
struct message {
    char text[MESSAGE_SIZE];
};

#define RESQ_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define RESQ_USE_RESULT __attribute__((warn_unused_result))

/* Writes the formatted reason into m (what does not fit is left out of the middle, control characters become '?',
 * bytes that are not UTF-8 stand as \xHH; m may be NULL) and returns code, so that `return message_set(m,
 * STATUS_FORMAT, ...)` reads well. */
int message_set(struct message *m, int code, const char *format, ...) RESQ_PRINTF(3, 4);

/* The same with ": strerror(saved_errno)" appended; code STATUS_IO, or STATUS_PIPE where errno is EPIPE. */
int message_errno(struct message *m, const char *format, ...) RESQ_PRINTF(2, 3);

/* Puts "PREFIX: " before the text already in m (to add the file or node as a failure travels up); returns code. */
int message_prefix(struct message *m, int code, const char *format, ...) RESQ_PRINTF(3, 4);

/* Forward a failure: `TRY(call())` returns the call's negative result from the enclosing int function. */
#define TRY(call)                 \
    do {                          \
        int try_status_ = (call); \
        if (try_status_ < 0)      \
            return try_status_;   \
    } while (0)

/* Forward a failure through a label where things are released: needs `int status` in scope. */
#define TRY_GOTO(call, label) \
    do {                      \
        status = (call);      \
        if (status < 0)       \
            goto label;       \
    } while (0)

#endif
