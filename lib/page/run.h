/* run.h: what a folder holds of a run, found by what the files are, not by what they are called: tables by their
 * columns, records by their kind. What belongs to which model is said by the digests in them. */
#ifndef RESQ_PAGE_RUN_H
#define RESQ_PAGE_RUN_H

#include "graph/model.h"
#include "quant/histogram.h"
#include "report/metrics.h"
#include "report/predictions.h"
#include "report/table.h"

enum { RUN_MAX_FILES = 4096, RUN_MAX_ANSWERS = 16, RUN_NAME_SIZE = 256, CLASS_NAME_LETTERS = 40 };

enum table_kind {
    TABLE_METRICS,
    TABLE_PAIR,
    TABLE_LOG,
    TABLE_BENCH,
    TABLE_SUMMARY,
    TABLE_SWEEP,
    TABLE_FLIPS,
    TABLE_PEERS,
    TABLE_OTHER
};

/* A TSV file of the folder. */
struct run_table {
    char name[RUN_NAME_SIZE]; /* of the file */
    enum table_kind kind;
    struct table table;
    struct text bytes; /* the file as it is */
};

/* A model file of the folder. */
struct run_model {
    char name[RUN_NAME_SIZE]; /* of the file */
    char digest[MODEL_DIGEST_SIZE];
    int64_t bytes; /* the file's size */
    enum graph_stage stage;
    struct model model;
};

/* What one model said about the test images: from its predictions, or, without them, from its metrics. */
struct run_answer {
    char name[RUN_NAME_SIZE];       /* the file's up to its first point: "ptq" */
    char digest[MODEL_DIGEST_SIZE]; /* of the model; "" unknown */
    char precision[16], stage[16];  /* "" unknown */
    struct predictions predictions; /* empty: none */
    struct metrics metrics;
    const struct table *table;     /* its metrics; NULL: none */
    const struct run_model *model; /* NULL: not in the folder */
    int64_t bytes;                 /* of the model's file; 0: unknown */
    int timing;                    /* row of the run's bench: one image on one thread; -1: none */
};

/* All-zero is empty; everything is owned. */
struct run {
    char *path;
    char name[RUN_NAME_SIZE]; /* the folder's */
    struct run_table *tables;
    struct run_model *models;
    int table_count, model_count, answer_count;
    struct run_answer answers[RUN_MAX_ANSWERS]; /* float ones first, ptq, qat, then by name */
    struct record *ranges_record;               /* NULL: none */
    struct ranges ranges;
    char **classes; /* [class_count]; NULL: unknown */
    int class_count;
    const struct table *bench, *sweep, *summary; /* NULL: none */
    const struct table *flips; /* a summary of what models say with mirror images too; NULL: none */
    const struct table *peers; /* other runtimes beside ours; NULL: none */
};

/* Reads what stands in the folder (not below it). Files that are neither tables nor records are passed over; one
 * that is broken is the failure, by its name. A folder without any table or record is STATUS_MISMATCH. */
int run_load(struct run *r, const char *path, struct message *m) RESQ_USE_RESULT;
/* Runs of the same name get a number: "a", "a (2)". */
void runs_tell_apart(struct run *runs, int count);
void run_free(struct run *r); /* also after any failure */

/* The dataset, digest, split or part of what was answered ("" unknown). */
const char *run_note(const struct run *r, const char *key);
const char *run_class(const struct run *r, int c); /* "?" unknown */
/* The first answer of a float model, and the first model of a stage; NULL: none. */
const struct run_answer *run_float(const struct run *r);
const struct run_model *run_model_at(const struct run *r, enum graph_stage stage);
/* Two answers beside each other. 1 where they are about the same images (from predictions or a pair's table): out is
 * then the caller's to free; 0 where not. */
int run_pair(const struct run *r, const struct run_answer *a, const struct run_answer *b, struct pair_metrics *out,
             struct message *m) RESQ_USE_RESULT;
/* A cell as a number; NAN where there is none. */
double run_number(const struct table *t, int row, const char *column);
/* The row of a metrics or pair table without a class, or -1. */
int run_row(const struct table *t, const char *metric);

/* run_join.c: fills answers, names, sizes and timings from the files read. */
int run_join(struct run *r, struct message *m) RESQ_USE_RESULT;

#endif
