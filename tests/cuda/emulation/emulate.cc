#include "tests/cuda/emulation/emulate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <vector>

struct emulated_index emulated_thread, emulated_block, emulated_threads, emulated_blocks;

static const std::function<void()> *running;
static ucontext_t scheduler;

struct fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 << 10);
    bool done = false;
};
static struct fiber *current;

void emulate(unsigned blocks, unsigned threads, const std::function<void()> &kernel)
{
    emulated_blocks = {blocks, 1, 1}, emulated_threads = {threads, 1, 1};
    for (unsigned b = 0; b < blocks; b++)
        for (unsigned t = 0; t < threads; t++) {
            emulated_block = {b, 0, 0}, emulated_thread = {t, 0, 0};
            kernel();
        }
}

static void fiber_main(void)
{
    for (;;) {
        (*running)();
        current->done = true;
        swapcontext(&current->context, &scheduler);
    }
}

static void fiber_begin(struct fiber *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.data();
    f->context.uc_stack.ss_size = f->stack.size();
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
}

void emulate_wait(void)
{
    if (!current) {
        fprintf(stderr, "emulation: __syncthreads() in a kernel that LAUNCH started\n");
        abort();
    }
    swapcontext(&current->context, &scheduler);
}

/* All threads of a block up to their next barrier; returns how many have ended. */
static unsigned block_turn(std::vector<struct fiber> &fibers, unsigned threads)
{
    unsigned done = 0;
    for (unsigned t = 0; t < threads; t++) {
        if (!fibers[t].done) {
            emulated_thread = {t, 0, 0};
            current = &fibers[t];
            swapcontext(&scheduler, &fibers[t].context);
        }
        done += fibers[t].done;
    }
    current = nullptr;
    return done;
}

void emulate_blocks(unsigned blocks, unsigned threads, const std::function<void()> &kernel)
{
    static std::vector<struct fiber> fibers;
    while (fibers.size() < threads) {
        fibers.resize(threads);
        for (struct fiber &f : fibers)
            fiber_begin(&f);
    }
    emulated_blocks = {blocks, 1, 1}, emulated_threads = {threads, 1, 1};
    running = &kernel;
    for (unsigned b = 0; b < blocks; b++) {
        emulated_block = {b, 0, 0};
        for (unsigned t = 0; t < threads; t++)
            fibers[t].done = false;
        unsigned done = 0;
        while (done < threads) {
            done = block_turn(fibers, threads);
            /* On the GPU such a block would hang, or do worse. */
            if (done > 0 && done < threads) {
                fprintf(stderr, "emulation: %u of %u threads did not come to a barrier\n", done, threads);
                abort();
            }
        }
    }
    running = nullptr;
}

bool emulate_failure(const char *call)
{
    static char counting[200];
    static int calls;
    const char *wish = getenv("RESQ_EMULATION_FAIL");
    if (!wish || strcmp(wish, counting) != 0) {
        calls = 0;
        snprintf(counting, sizeof counting, "%s", wish ? wish : "");
    }
    const char *colon = wish ? strchr(wish, ':') : nullptr;
    if (!colon || strlen(call) != (size_t)(colon - wish) || strncmp(call, wish, strlen(call)) != 0)
        return false;
    return ++calls == (int)strtol(colon + 1, nullptr, 10);
}
