#include "tools/common/options.h"
#include "base/text.h"
#include "record/file.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *called; /* the last part of argv[0]; NULL before tool_start, and where there is none */

const char *tool_called(const struct tool *t)
{
    return called ? called : t->name;
}

enum { MAX_OPTIONS = 64, CODE_HELP = 1000, CODE_VERSION, CODE_LONG, CODE_NO = 2000 };

static void warn_line(const struct tool *t, const char *kind, const char *format, va_list args)
{
    char line[MESSAGE_SIZE + 256];
    vsnprintf(line, sizeof line, format, args);
    fflush(stdout);
    fprintf(stderr, "%s: %s%s\n", tool_called(t), kind, line);
}

int tool_misuse(const struct tool *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    warn_line(t, "", format, args);
    va_end(args);
    fprintf(stderr, "Try '%s --help' for more information.\n", tool_called(t));
    return 2;
}

void tool_warn(const struct tool *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    warn_line(t, "warning: ", format, args);
    va_end(args);
}

/* ---- help ---- */

static int is_list(enum option_kind kind)
{
    return kind == OPTION_STRINGS || kind == OPTION_INTEGERS;
}

/* The value an option holds now, as text; "" where there is none. */
static void option_value(const struct option_spec *o, char *out, size_t size)
{
    char number[32];
    out[0] = '\0';
    switch (o->kind) {
    case OPTION_FLAG:
        snprintf(out, size, "%d", *(const int *)o->value);
        break;
    case OPTION_INTEGER:
        snprintf(out, size, "%lld", (long long)*(const int64_t *)o->value);
        break;
    case OPTION_NUMBER:
        format_number(number, *(const double *)o->value);
        snprintf(out, size, "%s", number);
        break;
    case OPTION_STRING:
    case OPTION_CHOICE:
        snprintf(out, size, "%s", *(const char *const *)o->value ? *(const char *const *)o->value : "");
        break;
    case OPTION_STRINGS:
    case OPTION_INTEGERS:
        if (o->kind == OPTION_INTEGERS) {
            const struct integer_list *list = o->value;
            size_t used = 0;
            for (int i = 0; i < list->count && used < size; i++)
                used +=
                    (size_t)snprintf(out + used, size - used, "%s%lld", i ? "," : "", (long long)list->items[i]);
        }
        break;
    }
}

static void print_option(const struct option_spec *o)
{
    char left[128], value[256];
    int used = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                         : snprintf(left, sizeof left, "      --%s", o->name);
    if (o->kind != OPTION_FLAG)
        snprintf(left + used, sizeof left - (size_t)used, "=%s", o->choices ? o->choices : o->argument);
    option_value(o, value, sizeof value);
    printf(strlen(left) < 28 ? "%-28s %s" : "%s\n                             %s", left, o->help);
    if (value[0] && o->kind != OPTION_FLAG)
        printf(" (default: %s)", value);
    if (o->kind == OPTION_FLAG && *(const int *)o->value)
        printf(" (on; --no-%s)", o->name);
    printf("\n");
}

/* Text that holds command lines: a program that was installed as PREFIX-NAME calls its fellows so too. A command
 * stands behind two blanks, behind a bar, or in <(..). */
static void print_named(const struct tool *t, const char *text)
{
    static const char *const programs[] = {"cifar-load", "augment",  "train-fp32",   "fuse",        "calibrate",
                                           "quantize",   "evaluate", "qat-finetune", "bench",       "plot",
                                           "inspect",    "report",   "onnx-import",  "onnx-export", "emit-c",
                                           "plan",       "analyse",  "allot",        "reconstruct"};
    const char *name = tool_called(t);
    size_t length = strlen(name), own = strlen(t->name);
    int prefix = length > own && strcmp(name + length - own, t->name) == 0 ? (int)(length - own) : 0;
    for (const char *c = text; *c; c++) {
        int at_command = c - text >= 2 && (strncmp(c - 2, "  ", 2) == 0 || strncmp(c - 2, "| ", 2) == 0 ||
                                           strncmp(c - 2, "<(", 2) == 0);
        for (size_t i = 0; at_command && i < sizeof programs / sizeof programs[0]; i++)
            if (strncmp(c, programs[i], strlen(programs[i])) == 0 && c[strlen(programs[i])] == ' ')
                printf("%.*s", prefix, name);
        putchar(*c);
    }
}

static void print_help(const struct tool *t)
{
    printf("Usage: %s ", tool_called(t));
    print_named(t, t->synopsis);
    printf("\n%s\n", t->purpose);
    printf("\nOptions:\n");
    for (int i = 0; i < t->option_count; i++)
        print_option(&t->options[i]);
    printf("  -h, --help                  print this help\n      --version               print the version\n");
    if (t->details) {
        printf("\n");
        print_named(t, t->details);
    }
    printf("\nExit status: 0 complete output was written, 1 failure, 2 misuse.\n");
}

/* ---- parsing ---- */

static int set_choice(const struct option_spec *o, const char *argument, struct message *m)
{
    size_t length = strlen(argument);
    for (const char *c = o->choices; c && *c; c += strcspn(c, "|"), c += *c == '|') {
        if (strcspn(c, "|") == length && strncmp(c, argument, length) == 0) {
            *(const char **)o->value = argument;
            return 0;
        }
    }
    return message_set(m, STATUS_RANGE, "--%s: '%s' is not one of %s", o->name, argument, o->choices);
}

static int set_integers(const struct option_spec *o, const char *argument, struct message *m)
{
    struct integer_list *list = o->value;
    char item[32], what[64];
    snprintf(what, sizeof what, "--%s", o->name);
    list->count = 0;
    for (const char *p = argument;;) {
        size_t length = strcspn(p, ",");
        if (length >= sizeof item || list->count == INTEGER_LIST_MAX)
            return message_set(m, STATUS_RANGE, "--%s: '%s' is not a list of integers", o->name, argument);
        memcpy(item, p, length);
        item[length] = '\0';
        TRY(parse_integer(item, (int64_t)o->low, (int64_t)o->high, what, &list->items[list->count++], m));
        if (p[length] == '\0')
            return 0;
        p += length + 1;
    }
}

static int set_option(const struct option_spec *o, const char *argument, struct message *m)
{
    char what[64];
    snprintf(what, sizeof what, "--%s", o->name);
    if (o->kind != OPTION_FLAG && argument[0] == '\0')
        return message_set(m, STATUS_RANGE, "--%s: empty argument", o->name);
    switch (o->kind) {
    case OPTION_FLAG:
        *(int *)o->value = 1;
        return 0;
    case OPTION_INTEGER:
        return parse_integer(argument, (int64_t)o->low, (int64_t)o->high, what, o->value, m);
    case OPTION_NUMBER:
        return parse_number(argument, o->low, o->high, what, o->value, m);
    case OPTION_STRING:
        *(const char **)o->value = argument;
        return 0;
    case OPTION_CHOICE:
        return set_choice(o, argument, m);
    case OPTION_STRINGS: {
        struct string_list *list = o->value;
        if (list->count == STRING_LIST_MAX)
            return message_set(m, STATUS_RANGE, "--%s: given more than %d times", o->name, STRING_LIST_MAX);
        list->items[list->count++] = argument;
        return 0;
    }
    case OPTION_INTEGERS:
        return set_integers(o, argument, m);
    }
    return 0;
}

/* getopt's tables, made from ours. */
struct parser {
    struct option longs[2 * MAX_OPTIONS + 3];
    char shorts[3 * MAX_OPTIONS + 4];
};

static void parser_make(struct parser *p, const struct tool *t)
{
    char *s = p->shorts;
    struct option *l = p->longs;
    *s++ = ':';
    *s++ = 'h';
    *l++ = (struct option){"help", no_argument, NULL, CODE_HELP};
    *l++ = (struct option){"version", no_argument, NULL, CODE_VERSION};
    for (int i = 0; i < t->option_count && i < MAX_OPTIONS; i++) {
        const struct option_spec *o = &t->options[i];
        int has_argument = o->kind == OPTION_FLAG ? no_argument : required_argument;
        *l++ = (struct option){o->name, has_argument, NULL, CODE_LONG + i};
        if (o->kind == OPTION_FLAG && *(const int *)o->value) {
            static char names[MAX_OPTIONS][64];
            snprintf(names[i], sizeof names[i], "no-%s", o->name);
            *l++ = (struct option){names[i], no_argument, NULL, CODE_NO + i};
        }
        if (o->letter) {
            *s++ = o->letter;
            if (has_argument == required_argument)
                *s++ = ':';
        }
    }
    *l = (struct option){0};
    *s = '\0';
}

static int find_letter(const struct tool *t, int letter)
{
    for (int i = 0; i < t->option_count; i++)
        if (t->options[i].letter == letter)
            return i;
    return -1;
}

static unsigned char was_given[MAX_OPTIONS]; /* of the one tool that a program is */

int tool_was_given(const struct tool *t, const char *name)
{
    for (int i = 0; i < t->option_count && i < MAX_OPTIONS; i++)
        if (strcmp(t->options[i].name, name) == 0)
            return was_given[i];
    return 0;
}

static int parse(const struct tool *t, int argc, char **argv)
{
    struct parser p;
    parser_make(&p, t);
    opterr = 0;
    int code;
    while ((code = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1) {
        const char *given = argv[optind - 1];
        if (code == 'h' || code == CODE_HELP) {
            print_help(t);
            return tool_end(t, 0, NULL);
        }
        if (code == CODE_VERSION) {
            printf("%s (resq) " RESQ_VERSION "\nLicence: Apache-2.0\n", tool_called(t));
            return tool_end(t, 0, NULL);
        }
        if (code == ':')
            return tool_misuse(t, "option '%s' needs an argument", given);
        if (code == '?')
            return optopt && optopt < 256 ? tool_misuse(t, "unknown option '-%c'", optopt)
                                          : tool_misuse(t, "unknown or ambiguous option '%s'", given);
        if (code >= CODE_NO) {
            *(int *)t->options[code - CODE_NO].value = 0;
            continue;
        }
        int i = code >= CODE_LONG ? code - CODE_LONG : find_letter(t, code);
        struct message m = {0};
        if (set_option(&t->options[i], optarg ? optarg : "", &m) < 0)
            return tool_misuse(t, "%s", m.text);
        was_given[i] = 1;
    }
    return -1;
}

/* ---- start and end ---- */

static void die_by_signal(int signal_number)
{
    atomic_abandon_all();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* A program may be started without descriptor 0, 1 or 2. The next file opened would take that number, and get our
 * talk or be read as input: so they are taken, the wrong way round, that using them is still an error. */
static int standard_open(const struct tool *t)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        int got = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest free number */
        if (got < 0) {
            fprintf(stderr, "%s: /dev/null: cannot open: %s\n", tool_called(t), strerror(errno));
            return 1;
        }
    }
    return -1;
}

int tool_start(const struct tool *t, int argc, char **argv, struct operands *operands)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    called = argc == 0 || !argv[0][0] || (slash && !slash[1]) ? NULL : slash ? slash + 1 : argv[0];
    if (standard_open(t) >= 0)
        return 1;
    struct sigaction action = {.sa_handler = die_by_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    const int fatal[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        struct sigaction old;
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(fatal[i], &action, NULL);
    }
    signal(SIGXFSZ, SIG_IGN);
    atexit(atomic_abandon_all); /* a library may end the program: libarchive does, where memory runs out */
    int status = parse(t, argc, argv);
    if (status >= 0)
        return status;
    int given = argc - optind;
    if (given > t->max_operands)
        return tool_misuse(t, "unexpected operand '%s'", argv[optind + t->max_operands]);
    if (operands)
        *operands = (struct operands){argv + optind, given};
    return -1;
}

int tool_end(const struct tool *t, int status, const struct message *m)
{
    if (status == STATUS_PIPE)
        return 1;
    if (status < 0) {
        fflush(stdout);
        fprintf(stderr, "%s: %s\n", tool_called(t), m && m->text[0] ? m->text : "failed");
        return 1;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            fprintf(stderr, "%s: stdout: write error: %s\n", tool_called(t), strerror(errno));
        return 1;
    }
    return 0;
}

void tool_lineage(const struct tool *t, struct lineage *l)
{
    for (int i = 0; i < t->option_count; i++) {
        const struct option_spec *o = &t->options[i];
        char value[512];
        if (!o->recorded || is_list(o->kind) || (o->recorded == RECORDED_IF_GIVEN && !tool_was_given(t, o->name)))
            continue;
        option_value(o, value, sizeof value);
        lineage_add(l, o->name, "%s", value);
    }
}
