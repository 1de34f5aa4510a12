#include "tests/cuda/emulation/emulate.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <memory>
#include <vector>

struct emulated_index emulated_thread, emulated_block, emulated_threads, emulated_blocks;

static const std::function<void()> *running;
/* A thread with a stack of its own. Once it runs, it is left and entered by jumps, which ask the system for
 * nothing. */
struct fiber {
    ucontext_t context;
    jmp_buf here;
    std::vector<char> stack = std::vector<char>(64 << 10);
    bool started = false, done = false;
};
static struct fiber *current;
static ucontext_t beginning;
static jmp_buf scheduler;

void emulate(unsigned blocks, unsigned threads, const std::function<void()> &kernel)
{
    emulated_blocks = {blocks, 1, 1}, emulated_threads = {threads, 1, 1};
    for (unsigned b = 0; b < blocks; b++)
        for (unsigned t = 0; t < threads; t++) {
            emulated_block = {b, 0, 0}, emulated_thread = {t, 0, 0};
            kernel();
        }
}

static void leave(void)
{
    if (_setjmp(current->here) == 0)
        _longjmp(scheduler, 1);
}

static void fiber_main(void)
{
    for (;;) {
        (*running)();
        current->done = true;
        leave();
    }
}

/* Until the fiber leaves. */
static void enter(struct fiber *f)
{
    current = f;
    if (_setjmp(scheduler) != 0)
        return;
    if (f->started)
        _longjmp(f->here, 1);
    f->started = true;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.data();
    f->context.uc_stack.ss_size = f->stack.size();
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
    swapcontext(&beginning, &f->context);
}

void emulate_wait(void)
{
    if (!current) {
        fprintf(stderr, "emulation: __syncthreads() in a kernel that LAUNCH started\n");
        abort();
    }
    leave();
}

/* All threads of a block up to their next barrier; returns how many have ended. */
static unsigned block_turn(std::vector<std::unique_ptr<struct fiber>> &fibers, unsigned threads)
{
    unsigned done = 0;
    for (unsigned t = 0; t < threads; t++) {
        if (!fibers[t]->done) {
            emulated_thread = {t, 0, 0};
            enter(fibers[t].get());
        }
        done += fibers[t]->done;
    }
    current = nullptr;
    return done;
}

void emulate_blocks(unsigned blocks, unsigned threads, const std::function<void()> &kernel)
{
    static std::vector<std::unique_ptr<struct fiber>> fibers;
    while (fibers.size() < threads)
        fibers.push_back(std::make_unique<struct fiber>());
    emulated_blocks = {blocks, 1, 1}, emulated_threads = {threads, 1, 1};
    running = &kernel;
    for (unsigned b = 0; b < blocks; b++) {
        emulated_block = {b, 0, 0};
        for (unsigned t = 0; t < threads; t++)
            fibers[t]->done = false;
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
