// From fired words to writes of the spike buffer: pool.py, residual.py and spike_writer.py, without words and addresses.
#pragma once

#include <cstdint>

#include "layer.h"

namespace s2nn_engine {

class SpikeWriter {
public:
    void begin_layer(const Layer* next) {
        layer = next;
        chunk = member = 0;
    }

    // A word comes in, and a word of the residual map is at hand.
    bool i_ready(bool has_residual) const {
        if (!completes()) return true;
        return (!adds_plane() || has_residual) && is_last_plane();
    }
    bool residual_ready(bool i_valid) const { return i_valid && completes() && adds_plane(); }
    bool writes() const { return is_writing; }
    bool is_busy(bool i_valid) const { return i_valid || is_writing; }

    void clock(bool i_valid, bool has_residual) {
        is_writing = i_valid && completes() && (!adds_plane() || has_residual);
        if (!i_valid) return;
        const bool moves = i_ready(has_residual);
        if (is_writing) plane = is_last_plane() ? 0 : plane + 1;
        if (moves && ++chunk == layer->out_chunks) {
            chunk = 0;
            member = layer->pool ? (member + 1) % POOL_MEMBERS : 0;
        }
    }

private:
    static constexpr int64_t POOL_MEMBERS = 4;  // positions of a pool window

    bool completes() const { return !layer->pool || member == POOL_MEMBERS - 1; }
    bool adds_plane() const { return layer->residual && plane != layer->residual_planes; }
    bool is_last_plane() const { return !layer->residual || plane + 1 == layer->out_planes; }

    const Layer* layer = nullptr;
    int64_t chunk = 0, member = 0, plane = 0;
    bool is_writing = false;
};

}  // namespace s2nn_engine
