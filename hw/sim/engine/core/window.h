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
        const Slot& last = stages[newest % WINDOW_STAGES];  // the oldest: the one that is overwritten
        const bool passes = last.valid && !last.step.is_residual && !last.step.is_gathered;
        blocks.clock((passes || whole) && leaves, whole ? set : last.step, o_ready);
        if (moves) {
            whole = single && word.completes;
            set = word;
            single = last.valid && last.step.is_gathered;
            residual = last.valid && last.step.is_residual;
            word = last.step;
            num_inside += steps.o_valid() - last.valid;
            stages[newest++ % WINDOW_STAGES] = {steps.o_valid(), arriving};
        }
        steps.clock(i_valid, step, moves);
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
