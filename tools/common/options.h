/* options.h: the command line that every tool shares: one table of options, one parser, one help text, one way to
 * fail.
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct opts o = {.batch = 128};
 *         const struct option_spec options[] = {OPTION_OUTPUT(&o.output), OPTION_BATCH(&o.batch), ...};
 *         const struct tool tool = TOOL("fuse", "-m MODEL -o OUT", "one-line purpose", details, options, 0);
 *         int status = tool_start(&tool, argc, argv, NULL);
 *         if (status >= 0)
 *             return status;
 *         ...
 *         return tool_end(&tool, run(&o, &message), &message);
 *     }
 */
#ifndef RESQ_TOOLS_OPTIONS_H
#define RESQ_TOOLS_OPTIONS_H

#include "base/status.h"
#include "record/lineage.h"
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,    /* int: set to 1; --no-NAME sets 0 */
    OPTION_INTEGER, /* int64_t in [low, high] */
    OPTION_NUMBER,  /* double in [low, high] */
    OPTION_STRING,  /* const char *, borrowed from argv; never empty */
    OPTION_CHOICE,  /* const char *: one of choices, "a|b|c" */
    OPTION_STRINGS, /* struct string_list: may be given several times */
    OPTION_INTEGERS /* struct integer_list: comma-separated, each in [low, high] */
};

enum { RECORDED_IF_GIVEN = 2 };
enum { STRING_LIST_MAX = 32, INTEGER_LIST_MAX = 32 };

struct string_list {
    const char *items[STRING_LIST_MAX];
    int count;
};

struct integer_list { /* a default set by the tool is replaced when the option is given */
    int64_t items[INTEGER_LIST_MAX];
    int count;
};

struct option_spec {
    const char *name; /* long name without dashes */
    char letter;      /* 0: none */
    enum option_kind kind;
    void *value;          /* holds the default before, the result after */
    double low, high;     /* of numbers */
    const char *argument; /* placeholder in the help: "FILE" */
    const char *help;     /* one line; the default is added by the help text */
    const char *choices;
    int recorded; /* 1: can change the result, so it stands in made-by (see tool_lineage); RECORDED_IF_GIVEN: only
                   * where the command line has it, for options that came later than files without them */
};

/* A letter means one thing everywhere. */
#define OPTION_OUTPUT(v)                                                                               \
    {                                                                                                  \
        "output", 'o', OPTION_STRING, (v), 0, 0, "FILE", "write here instead of standard output", 0, 0 \
    }
#define OPTION_MODEL(v)                                                         \
    {                                                                           \
        "model", 'm', OPTION_STRING, (v), 0, 0, "MODEL", "the model file", 0, 0 \
    }
#define OPTION_MODELS(v)                                                                        \
    {                                                                                           \
        "model", 'm', OPTION_STRINGS, (v), 0, 0, "MODEL", "a model file; may be repeated", 0, 0 \
    }
#define OPTION_RANGES(v)                                                                           \
    {                                                                                              \
        "ranges", 'r', OPTION_STRING, (v), 0, 0, "RANGES", "the ranges file, from calibrate", 0, 0 \
    }
#define OPTION_DATA(v)                                                                                  \
    {                                                                                                   \
        "data", 'd', OPTION_STRING, (v), 0, 0, "PATH", "the images: folder, archive or .bin file", 0, 0 \
    }
#define OPTION_SEED(v)                                                                                      \
    {                                                                                                       \
        "seed", 's', OPTION_INTEGER, (v), 0, 9007199254740992.0, "SEED", "seed of the random numbers", 0, 1 \
    }
#define OPTION_BATCH(v, is_recorded)                                                       \
    {                                                                                      \
        "batch", 'b', OPTION_INTEGER, (v), 1, 65536, "N", "images a batch", 0, is_recorded \
    }
#define OPTION_BATCHES(v)                                                                          \
    {                                                                                              \
        "batch", 'b', OPTION_INTEGERS, (v), 1, 65536, "LIST", "batch sizes, comma-separated", 0, 0 \
    }
#define OPTION_THREADS(v)                                                         \
    {                                                                             \
        "threads", 'j', OPTION_INTEGER, (v), 1, 1024, "N", "threads to use", 0, 0 \
    }
#define OPTION_THREADS_LIST(v)                                                                        \
    {                                                                                                 \
        "threads", 'j', OPTION_INTEGERS, (v), 1, 1024, "LIST", "thread counts, comma-separated", 0, 0 \
    }
#define OPTION_COUNT(v)                                                                                       \
    {                                                                                                         \
        "count", 'n', OPTION_INTEGER, (v), 0, 9007199254740992.0, "N", "at most so many images; 0: all", 0, 1 \
    }
#define OPTION_VERBOSE(v)                                                                      \
    {                                                                                          \
        "verbose", 'v', OPTION_FLAG, (v), 0, 0, 0, "say what is done, on standard error", 0, 0 \
    }
#define OPTION_QUIET(v)                                                                \
    {                                                                                  \
        "quiet", 'q', OPTION_FLAG, (v), 0, 0, 0, "no progress line, no warnings", 0, 0 \
    }

struct tool {
    const char *name;
    const char *synopsis; /* after the name, e.g. "-m MODEL [-o FILE] < BATCHES" */
    const char *purpose;  /* one line */
    const char *details;  /* paragraphs for --help: what is read and written, examples; may be NULL */
    const struct option_spec *options;
    int option_count;
    int max_operands; /* operands allowed */
};
#define TOOL(name, synopsis, purpose, details, options, max_operands)                                          \
    {                                                                                                          \
        name, synopsis, purpose, details, options, (int)(sizeof(options) / sizeof((options)[0])), max_operands \
    }

struct operands {
    char **items;
    int count;
};

/* What the user called the program, which its messages, --help and --version name; records say t->name. */
const char *tool_called(const struct tool *t);
/* Call it before anything is opened: of descriptors 0 to 2, those that are closed are taken by /dev/null, opened so
 * that reading and writing them fails. Parses argv into the options, handles --help and --version, installs the
 * signal rules (SIGINT and SIGTERM remove unfinished outputs and die by the signal; SIGXFSZ is ignored so that the
 * write fails with EFBIG). Returns -1 to go on, otherwise the exit status. operands may be NULL where max_operands
 * is 0. */
int tool_start(const struct tool *t, int argc, char **argv, struct operands *operands) RESQ_USE_RESULT;
/* 1 where the command line gave the option of this name; after tool_start. */
int tool_was_given(const struct tool *t, const char *name);
/* Misuse found by the tool itself: prints `TOOL: reason` and the hint; returns 2. */
int tool_misuse(const struct tool *t, const char *format, ...) RESQ_PRINTF(2, 3);
/* 0 for status >= 0; otherwise prints `TOOL: reason` (nothing for STATUS_PIPE) and returns 1. Checks that standard
 * output could be flushed. */
int tool_end(const struct tool *t, int status, const struct message *m) RESQ_USE_RESULT;
/* One warning line on standard error: `TOOL: warning: text`. */
void tool_warn(const struct tool *t, const char *format, ...) RESQ_PRINTF(2, 3);
/* Adds every option marked `recorded` to l, with its value, in canonical form. */
void tool_lineage(const struct tool *t, struct lineage *l);

#endif
