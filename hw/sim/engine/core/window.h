// From steps to blocks: the rigid pipeline of window.py and the set of nine words of gather.py.
#pragma once

#include "latency.h"
#include "loop_nest.h"
#include "queues.h"

namespace s2nn_engine {

class WindowReader {
public:
    bool i_ready() const { return steps.i_ready(); }
    bool o_valid() const { return valid; }
    const Step& block() const { return held; }
    bool has_residual() const { return residuals.r_ready(); }
    bool is_busy() const { return steps.o_valid() || num_inside || valid || single || residual; }

    // The scanner takes the block; the residual unit takes a word.
    void clock(bool i_valid, const Step& step, bool o_ready, bool residual_ready) {
        const bool moves = (!valid || o_ready) && (!residual || residuals.w_ready());
        residuals.clock(residual && (!valid || o_ready), residual_ready);
        const Step& arriving = steps.front();
        if (moves) {
            // Gather unit: a neighbourhood passes, a gathered word takes a stage of its own first.
            const Slot& last = stages[newest % WINDOW_STAGES];  // the oldest: the one that is overwritten
            const bool passes = last.valid && !last.step.is_residual && !last.step.is_gathered;
            valid = passes || (single && word.completes);
            if (passes) held = last.step;
            if (single) held = word;
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
        if (valid) return steps.is_stuck(i_valid) || (!steps.o_valid() && !i_valid);
        return !num_inside && !single && !residual && !steps.o_valid() && !i_valid;
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
    bool valid = false, single = false, residual = false;
    Step held{}, word{};
    BufferedFifo residuals{RESIDUAL_WORDS};
};

}  // namespace s2nn_engine
