/* How devices of several ranks tell each other bytes: by a library of their own kind (NCCL) where every rank has it,
 * else through the host's memory. All ranks take the same way. Once a process: a device's peers stay. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"
#include <stdio.h>
#include <string.h>

/* What a rank says of itself. */
struct word {
    int status;
    struct message message;
    struct device_peers_offer offer;
};

/* Everybody's, in all [ranks]; the first that failed, or -1. */
static int hear(const struct ranks *ranks, const struct word *own, struct word *all, int *failed, struct message *m)
{
    size_t bytes[RANKS_MOST], offset[RANKS_MOST];
    for (int i = 0; i < ranks->count; i++) {
        bytes[i] = sizeof *own;
        offset[i] = (size_t)i * sizeof *own;
    }
    TRY(ranks->gather(own, all, bytes, offset, m));
    *failed = -1;
    for (int i = ranks->count - 1; i >= 0; i--)
        if (all[i].status < 0)
            *failed = i;
    return 0;
}

static void keep_reason(struct device_context *c, const struct word *of, int rank)
{
    snprintf(c->peers_words, sizeof c->peers_words, "through the host's memory: rank %d: %.300s", rank,
             of->message.text);
}

/* What fails for a rank is its reason for the other way; only ranks that cannot be heard are a failure. */
static int meet(struct device_context *c, const struct ranks *ranks, struct word *all, struct message *m)
{
    const struct device_backend *b = c->backend;
    struct word own;
    int failed;
    memset(&own, 0, sizeof own);
    own.status = b->peers_offer
                     ? b->peers_offer(c->device, &own.offer, &own.message)
                     : message_set(&own.message, STATUS_UNSUPPORTED, "this device has no library for it");
    TRY(hear(ranks, &own, all, &failed, m));
    if (failed >= 0) {
        keep_reason(c, &all[failed], failed);
        return 0;
    }
    own.status = b->peers_open(c->device, all[0].offer.id, ranks->rank, ranks->count, &c->peers, &own.message);
    TRY(hear(ranks, &own, all, &failed, m));
    if (failed < 0) {
        snprintf(c->peers_words, sizeof c->peers_words, "by %s", all[0].offer.library);
        return 0;
    }
    keep_reason(c, &all[failed], failed);
    if (own.status >= 0)
        b->peers_close(c->device, c->peers);
    c->peers = NULL;
    return 0;
}

int device_peers_meet(struct gradient *g, struct message *m)
{
    struct device_context *c = device_of(g)->context;
    const struct ranks *ranks = g->reduce.ranks;
    if (c->peers_words[0])
        return 0;
    struct word *all = memory_new((size_t)ranks->count, sizeof *all, m);
    int status = all ? meet(c, ranks, all, m) : STATUS_NOMEM;
    memory_free(all);
    return status;
}
