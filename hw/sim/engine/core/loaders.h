// What becomes of read data: params.py, codebook_loader.py, input_loader.py and map_transfer.py. The weight buffer always
// takes its beats.
#pragma once

#include <cstdint>
#include <queue>

#include "layer.h"
#include "queues.h"

namespace s2nn_engine {

// Parameter words, shifted in one per cycle until a tile is complete.
class ParamsLoader {
public:
    explicit ParamsLoader(const Config& config)
        : queue(config.params_beats << (config.current_bits > 0)), words_per_beat(config.axi_bytes / PARAM_BYTES), lanes(config.lanes) {}

    bool i_ready() const { return queue.w_ready(); }
    bool o_valid() const { return complete; }
    bool is_quiet() const { return queue.is_settled() && (lane == lanes ? complete : !queue.r_ready()); }

    // i_pairs: of the layer whose words come in, a channel has two.
    void clock(bool i_valid, bool i_pairs, bool take) {
        const bool moves = queue.r_ready() && lane != lanes, takes_beat = moves && part == words_per_beat - 1;
        const bool ends_channel = moves && (is_second || !pairs.front());
        if (i_valid && queue.w_ready()) pairs.push(i_pairs);
        if (takes_beat) pairs.pop();
        queue.clock(i_valid, takes_beat);
        complete = lane == lanes && !take;
        if (take) lane = 0;
        if (!moves) return;
        part = takes_beat ? 0 : part + 1;
        lane += ends_channel;
        is_second = !ends_channel;
    }

private:
    BufferedFifo queue;
    std::queue<bool> pairs;  // of the beats in the queue
    bool is_second = false;
    const int64_t words_per_beat, lanes;
    int64_t part = 0, lane = 0;
    bool complete = false;
};

// Codewords, written one per cycle.
class CodebookLoader {
public:
    explicit CodebookLoader(const Config& config) : words_per_beat(config.axi_bytes / CODEWORD_BYTES) {}

    bool i_ready() const { return part == words_per_beat - 1; }
    void clock(bool i_valid) {
        if (i_valid) part = i_ready() ? 0 : part + 1;
    }

private:
    const int64_t words_per_beat;
    int64_t part = 0;
};

// Bytes of an input to words of the spike buffer.
class InputLoader {
public:
    explicit InputLoader(const Config& config) : bytes_per_beat(config.axi_bytes), byte_chunks(config.pixel_chunks) {}

    void start(const Layer* load) {
        layer = load;
        byte = channel = chunk = position = 0;
        state = COLLECT;
    }

    bool is_busy() const { return state != IDLE; }
    bool o_valid() const { return state == EMIT; }
    bool i_ready() const {
        return state == COLLECT ? byte == bytes_per_beat - 1 : state == DISCARD && byte != 0;
    }

    void clock(bool i_valid) {
        switch (state) {
            case IDLE: break;
            case COLLECT:
                if (!i_valid) break;
                byte = (byte + 1) % bytes_per_beat;
                if (++channel == layer->in_channels) {
                    channel = part = 0;
                    state = EMIT;
                }
                break;
            case EMIT:
                if (++part == byte_chunks) state = COLLECT;
                if (++chunk == layer->out_chunks) {
                    chunk = 0;
                    state = ++position == layer->in_height * layer->in_width ? DISCARD : COLLECT;
                }
                break;
            case DISCARD:  // the rest of the last beat is padding
                if (byte == 0 || i_valid) state = IDLE;
                break;
        }
    }

private:
    enum State { IDLE, COLLECT, EMIT, DISCARD };

    const int64_t bytes_per_beat, byte_chunks;
    const Layer* layer = nullptr;
    State state = IDLE;
    int64_t byte = 0, channel = 0, part = 0, chunk = 0, position = 0;
};

// Beats of a spilled map to words of the spike buffer.
class MapLoader {
public:
    explicit MapLoader(const Config& config) : word_beats(config.word_beats) {}

    void start(const Layer* load) { left = load->tile_beats; }

    bool is_busy() const { return left || valid; }
    bool o_valid() const { return valid; }

    void clock(bool i_valid) {
        valid = i_valid && part == word_beats - 1;
        if (!i_valid) return;
        part = valid ? 0 : part + 1;
        left--;
    }

private:
    const int64_t word_beats;
    int64_t left = 0, part = 0;  // left: beats
    bool valid = false;
};

// Words of a map to beats.
class MapStorer {
public:
    explicit MapStorer(const Config& config) : word_beats(config.word_beats) {}

    bool i_ready(bool o_ready) const { return o_ready && part == word_beats - 1; }
    void clock(bool i_valid, bool o_ready) {
        if (i_valid && o_ready) part = i_ready(true) ? 0 : part + 1;
    }

private:
    const int64_t word_beats;
    int64_t part = 0;
};

}  // namespace s2nn_engine
