/* reconstruction.h: a reconstruction from the inside. Private to reconstruct.c and reconstruct_*.c. */
#ifndef RESQ_PTQ_RECONSTRUCTION_H
#define RESQ_PTQ_RECONSTRUCTION_H

#include "ptq/float_outputs.h"
#include "ptq/reconstruct.h"
#include "ptq/unit_pass.h"
#include "ptq/walk.h"

struct reconstruction {
    struct model *int8; /* units before the one at work have their codes */
    const struct model *fused;
    const struct reconstruct_options *o;
    int batch; /* of a step: no more than there are images */
    struct layer_moments *moments;
    struct unit *units;
    int count;
    struct threads *pool;
    struct reduce reduce;      /* of a step's mini-batch */
    struct walk floats, codes; /* before the unit at work */
    uint32_t *order;           /* [images]: of an epoch of the unit at work */
    int64_t epoch;             /* which; -1: none */
    /* where it stands: */
    int at;       /* unit, 0..count */
    int64_t step; /* of it, 0..o->steps; 0: its layers are not matched yet */
    /* the unit at work: */
    const struct unit *unit;
    struct unit_pass pass;
    uint8_t *after; /* the float network's cut behind it */
    int after_step;
    float *target; /* [own images of a step, elements] */
};

/* ---- reconstruct_learn.c ---- */

/* Step r->step of the unit at work; *loss: what this rank's images have of it. */
int reconstruct_step(struct reconstruction *r, double *loss, struct message *m) RESQ_USE_RESULT;

/* ---- reconstruct_scales.c ---- */

/* The scales that all nodes of int8 had: [nodes], those without a map 0. NULL: no memory, *m says so. The caller's to
 * free. */
float *reconstruct_scales(const struct reconstruction *r, struct message *m);
/* Gives the values of the unit at work the scales that were learned, and its layers that read them biases to go with
 * them; where a layer anywhere could not read a value at its new scale, it keeps the one it had. */
void reconstruct_take_scales(struct reconstruction *r, const float *before);
/* Gives all nodes the scales they had; biases are the caller's. */
void reconstruct_put_back_scales(struct reconstruction *r, const float *before);
/* Once the unit keeps what was learned: the biases of layers behind it that read its values. */
void reconstruct_settle_scales(struct reconstruction *r, const float *before);

/* ---- reconstruct_checkpoint.c ---- */

/* Where r->o->checkpoint is NULL, and on all ranks but the first: nothing to do. */
int reconstruct_save(struct reconstruction *r, struct message *m) RESQ_USE_RESULT;
/* at, step and int8 from the checkpoint, which *held is then for reconstruct_restore_unit; NULL where there is none. */
int reconstruct_restore(struct reconstruction *r, struct record **held, struct message *m) RESQ_USE_RESULT;
/* The variables of the unit at work. */
int reconstruct_restore_unit(struct reconstruction *r, const struct record *held,
                             struct message *m) RESQ_USE_RESULT;

#endif
