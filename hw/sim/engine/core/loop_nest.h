// The loops of a layer, step by step: loop_nest.py, of which only what decides cycles is kept.
#pragma once

#include <cstdint>

#include "layer.h"

namespace s2nn_engine {

// What travels with the last operation of a position and chunk.
struct Tags {
    bool emit : 1, tile_first : 1, tile_last : 1, first_chunk : 1, last_chunk : 1;
};

// A read of the spike buffer. `cost` counts the active windows of the block that a step completes. Copied all the time,
// so it is kept small.
struct Step {
    bool is_residual : 1, is_gathered : 1, completes : 1;
    uint8_t cost;
    Tags tags;
};

class LoopNest {
public:
    // costs: active windows of each block by (position, chunk, input plane, block), in loop order.
    void start(const Layer& descriptor, const uint8_t* block_costs);

    bool o_valid() const { return state == WALK || state == JOIN; }
    const Step& step() const { return current; }
    bool is_waiting() const { return state == WAIT_TILE; }
    bool is_busy() const { return state != IDLE; }
    // Steps behind this one that are sure to be blocks, without a wait.
    int64_t blocks_ahead() const { return state == WALK && !layer->gather ? walk_ahead : 0; }
    bool takes_tile(bool tile_ready) const { return is_waiting() && tile_ready && !layer->is_store(); }

    void clock(bool o_ready, bool tile_ready);

private:
    enum State { IDLE, WAIT_TILE, WALK, JOIN };

    void advance_walk();
    void advance_join();
    void finish_chunk();
    void begin_walk();
    void describe();

    const Layer* layer = nullptr;
    const uint8_t* costs = nullptr;
    State state = IDLE;
    Step current{};
    // Of the layer: words (gathered or blocks) of one walk over the inputs, walks of a pass, blocks of a pass.
    int64_t walk_words = 0, pass_walks = 0, chunk_blocks = 0;
    int64_t uninterrupted = 0, walk_ahead = 0;  // steps until residual words or the next tile: all, and left
    int64_t word = 0, slot = 0, walk = 0, in_plane = 0, plane = 0;
    int64_t residual_plane = 0, chunk = 0, position = 0, tile = 0;
    int64_t block = 0, chunk_base = 0;  // of the costs: within the chunk, and where the chunk begins
    bool is_tile_first = false;
};

}  // namespace s2nn_engine
