// From fired words to writes of the spike buffer: pool.py, residual.py and spike_writer.py, without words and addresses.
#pragma once

#include <cstdint>

#include "layer.h"
#include "queues.h"

namespace s2nn_engine {

class SpikeWriter {
public:
    void begin_layer(const Layer* next) {
        layer = next;
        chunk = member = 0;
    }

    bool i_ready() const { return words.i_ready(); }
    bool residual_ready() const { return words.o_valid() && completes() && adds_plane(); }
    bool writes() const { return is_writing; }
    bool is_busy() const { return words.o_valid() || is_writing; }

    // A word comes in, and a word of the residual map is at hand.
    void clock(bool i_valid, bool has_residual) {
        const bool has_word = words.o_valid(), moves = has_word && takes_word(has_residual);
        is_writing = has_word && completes() && (!adds_plane() || has_residual);
        words.clock(i_valid, {}, moves);
        if (is_writing) plane = is_last_plane() ? 0 : plane + 1;
        if (moves && ++chunk == layer->out_chunks) {
            chunk = 0;
            member = layer->pool ? (member + 1) % POOL_MEMBERS : 0;
        }
    }

private:
    static constexpr int64_t POOL_MEMBERS = 4;  // positions of a pool window
    struct Word {};

    bool takes_word(bool has_residual) const {
        if (!completes()) return true;
        return (!adds_plane() || has_residual) && is_last_plane();
    }
    bool completes() const { return !layer->pool || member == POOL_MEMBERS - 1; }
    bool adds_plane() const { return layer->joins_spikes() && plane != layer->residual_planes; }
    bool has_planes() const { return layer->joins_spikes() || (layer->pool && layer->pool_sum); }
    bool is_last_plane() const { return !has_planes() || plane + 1 == layer->out_planes; }

    const Layer* layer = nullptr;
    SkidBuffer<Word> words;
    int64_t chunk = 0, member = 0, plane = 0;
    bool is_writing = false;
};

}  // namespace s2nn_engine
