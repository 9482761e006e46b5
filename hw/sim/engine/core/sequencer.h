// Runs a program layer by layer, and says what each cycle is spent on: sequencer.py, without errors.
#pragma once

#include <cstdint>

#include "layer.h"

namespace s2nn_engine {

// Values of spec.registers.Cause.
enum Cause { COMPUTE, SILENT, WAIT_INDEX, WAIT_SPIKE, NEURON, WAIT_INPUT, WAIT_WRITE, DRAIN, SEQUENCE, NUM_CAUSES };

class Sequencer {
public:
    // What the engine does in a cycle.
    struct Events {
        bool has_descriptor, input_busy, loop_busy, waiting, pipeline_busy;
        bool issue_active, issue_silent, stall, has_writes, write_done;
    };

    void start() {
        state = START;
        step = 0;
    }

    bool starts_engine() const { return state == START; }
    bool takes(bool has_descriptor) const { return state == NEXT && has_descriptor; }
    bool begins() const { return state == BEGIN; }
    bool runs() const { return state == RUN; }
    bool writes(bool has_writes) const { return state == RUN && has_writes; }
    bool is_done() const { return state == DONE; }
    bool is_counted() const { return state != START && state != DONE; }  // the counters are cleared in START
    int64_t layer() const { return step; }

    Cause cause(const Events& events) const {
        switch (state) {
            case LOAD: return WAIT_INPUT;
            case WRITE: return WAIT_WRITE;
            case RUN: break;
            default: return SEQUENCE;
        }
        if (events.issue_active) return COMPUTE;
        if (events.issue_silent) return SILENT;
        if (events.stall) return NEURON;
        if (events.waiting) return WAIT_INDEX;
        return events.loop_busy ? WAIT_SPIKE : DRAIN;
    }

    void clock(const Layer& current, const Events& events) {
        switch (state) {
            case START: state = NEXT; break;
            case NEXT:
                if (events.has_descriptor) state = BEGIN;
                break;
            case BEGIN: state = current.is_load() ? LOAD : RUN; break;
            case LOAD:
                if (!events.input_busy) state = RUN;
                break;
            case RUN:
                if (events.has_writes)
                    state = WRITE;
                else if (!events.loop_busy && !events.pipeline_busy && !current.writes())
                    state = END;
                break;
            case WRITE:
                if (events.write_done) state = END;
                break;
            case END:
                state = current.last ? FINISH : NEXT;
                step += !current.last;
                break;
            case FINISH: state = DONE; break;
            case DONE: break;
        }
    }

private:
    enum State { START, NEXT, BEGIN, LOAD, RUN, WRITE, END, FINISH, DONE };

    State state = DONE;
    int64_t step = 0;
};

}  // namespace s2nn_engine
