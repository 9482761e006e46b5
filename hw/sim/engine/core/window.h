// From steps to blocks: the rigid pipeline of window.py, and the set of nine words and the skid buffer of gather.py.
#pragma once

#include "latency.h"
#include "loop_nest.h"
#include "queues.h"
#include "residual_queue.h"

namespace s2nn_engine {

class WindowReader {
public:
    bool i_ready() const { return steps.i_ready(); }
    bool o_valid() const { return blocks.o_valid(); }
    const Step& block() const { return blocks.front(); }
    bool has_residual() const { return residuals.o_valid(); }
    bool is_busy() const { return steps.o_valid() || num_inside || single || residual || whole || blocks.o_valid(); }

    // The scanner takes the block; the residual unit takes a word.
    void clock(bool i_valid, const Step& step, bool o_ready, bool residual_ready) {
        const bool leaves = !residual || residuals.i_ready(), moves = blocks.i_ready() && leaves;
        residuals.clock(residual && blocks.i_ready(), residual_ready);
        const Step& arriving = steps.front();
        // Gather unit: a neighbourhood passes, a gathered word takes a stage of its own and then joins the set.
        const Slot& last = place(0);
        const bool passes = last.valid && !last.step.is_residual && !last.step.is_gathered;
        blocks.clock((passes || whole) && leaves, whole ? set : last.step, o_ready);
        if (moves) {
            whole = single && word.completes;
            set = word;
            single = last.valid && last.step.is_gathered;
            residual = last.valid && last.step.is_residual;
            word = last.step;
            num_inside += steps.o_valid() - last.valid;
            place(0) = {steps.o_valid(), arriving};
            newest++;
        }
        steps.clock(i_valid, step, moves);
    }

    static constexpr std::size_t PLACES = 2 + WINDOW_STAGES + 2;
    using Contents = std::array<Step, PLACES>;  // in the order in which the scanner takes them

    // Whether every place is taken, each by a block.
    bool is_full_of(Contents& next) const {
        if (!blocks.is_full() || num_inside != WINDOW_STAGES || !steps.is_full() || single || residual || whole ||
            !residuals.is_settled())
            return false;
        next[0] = blocks.front();
        next[1] = blocks.second();
        for (std::size_t stage = 0; stage < WINDOW_STAGES; stage++) next[2 + stage] = place(stage).step;
        next[PLACES - 2] = steps.front();
        next[PLACES - 1] = steps.second();
        for (const Step& step : next)
            if (step.is_residual || step.is_gathered) return false;
        return true;
    }

    // Every place again, with what has come in the meantime.
    void fill(const Contents& next) {
        blocks.fill(next[0], next[1]);
        for (std::size_t stage = 0; stage < WINDOW_STAGES; stage++) place(stage).step = next[2 + stage];
        steps.fill(next[PLACES - 2], next[PLACES - 1]);
    }

    // Whether nothing changes until the scanner takes the block, or for good.
    bool is_quiet(bool i_valid) const {
        if (!residuals.is_settled()) return false;
        if (!blocks.i_ready()) return steps.is_stuck(i_valid) || (!steps.o_valid() && !i_valid);
        return !num_inside && !single && !residual && !whole && !steps.o_valid() && !i_valid;
    }

private:
    struct Slot {
        bool valid;
        Step step;
    };

    // The oldest one first; that is overwritten next.
    Slot& place(std::size_t stage) { return stages[(newest + stage) % WINDOW_STAGES]; }
    const Slot& place(std::size_t stage) const { return stages[(newest + stage) % WINDOW_STAGES]; }

    SkidBuffer<Step> steps;
    std::array<Slot, WINDOW_STAGES> stages{};
    std::size_t newest = 0;
    int num_inside = 0;
    bool single = false, residual = false, whole = false;
    Step word{}, set{};
    SkidBuffer<Step> blocks;
    ResidualQueue residuals;
};

}  // namespace s2nn_engine
