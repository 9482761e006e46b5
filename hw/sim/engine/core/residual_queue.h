// residual_queue.py, without its data: a queue, then a skid buffer.
#pragma once

#include "latency.h"
#include "queues.h"

namespace s2nn_engine {

class ResidualQueue {
public:
    bool i_ready() const { return waiting != RESIDUAL_DEPTH; }
    bool o_valid() const { return output.o_valid(); }
    bool is_settled() const { return !waiting || !output.i_ready(); }  // nothing changes by itself

    void clock(bool i_valid, bool o_ready) {
        const bool takes = i_valid && i_ready(), moves_up = waiting && output.i_ready();
        output.clock(waiting, {}, o_ready);
        waiting += takes - moves_up;
    }

private:
    struct Word {};

    int waiting = 0;
    SkidBuffer<Word> output;
};

}  // namespace s2nn_engine
