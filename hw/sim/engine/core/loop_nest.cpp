#include "loop_nest.h"

namespace s2nn_engine {

void LoopNest::start(const Layer& descriptor, const uint8_t* block_costs) {
    layer = &descriptor;
    costs = block_costs;
    const int64_t taps = descriptor.groups_y * descriptor.groups_x;
    // Gathered sets run on from tap to tap, unless each tap meets the weights from their start again.
    const bool restarts = descriptor.gather && descriptor.shared_taps;
    walk_words = descriptor.in_blocks * (restarts ? 1 : taps);
    pass_walks = restarts ? taps : 1;
    const int64_t walk_blocks = descriptor.gather ? (walk_words + GROUP_TAPS - 1) / GROUP_TAPS : walk_words;
    chunk_blocks = descriptor.in_planes * pass_walks * walk_blocks;
    uninterrupted = walk_words * pass_walks * descriptor.in_planes * descriptor.planes;
    if (!descriptor.residual) uninterrupted *= descriptor.in_chunks * descriptor.positions();
    chunk = position = tile = chunk_base = 0;
    begin_walk();
    state = WAIT_TILE;
}

void LoopNest::begin_walk() {
    word = slot = walk = in_plane = plane = block = residual_plane = 0;
}

void LoopNest::clock(bool o_ready, bool tile_ready) {
    if (state == WAIT_TILE) {
        if (!tile_ready && !layer->is_store()) return;
        is_tile_first = true;
        walk_ahead = uninterrupted - 1;
        state = layer->is_store() ? JOIN : WALK;
        describe();
    } else if (o_valid() && o_ready) {
        state == WALK ? advance_walk() : advance_join();
    }
}

void LoopNest::advance_walk() {
    const bool completed = current.completes, was_last = current.tags.emit;
    slot = completed ? 0 : slot + 1;
    walk_ahead--;
    if (was_last) {
        is_tile_first = false;
        if (!layer->residual) return finish_chunk();
        state = JOIN;
        return describe();
    }
    block += completed;
    if (++word == walk_words) {
        word = 0;
        if (++walk == pass_walks) {
            walk = 0;
            if (++in_plane == layer->in_planes) {  // a further weight plane meets the same blocks
                in_plane = block = 0;
                plane++;
            }
        }
    }
    describe();
}

void LoopNest::advance_join() {
    if (++residual_plane == layer->residual_planes) return finish_chunk();
    describe();
}

void LoopNest::finish_chunk() {
    begin_walk();
    if (layer->residual) walk_ahead = uninterrupted - 1;
    state = layer->is_store() ? JOIN : WALK;
    chunk_base += chunk_blocks;
    if (++chunk == layer->in_chunks) {
        chunk = 0;
        if (++position == layer->positions()) {
            position = chunk_base = 0;
            state = ++tile == layer->tiles ? IDLE : WAIT_TILE;
            return;
        }
    }
    describe();
}

void LoopNest::describe() {
    current = {};
    if (state == JOIN) {
        current.is_residual = true;
        return;
    }
    const bool ends_walk = word + 1 == walk_words;
    current.is_gathered = layer->gather;
    current.completes = !layer->gather || ends_walk || slot == GROUP_TAPS - 1;
    if (!current.completes) return;
    current.cost = costs[chunk_base + block];
    Tags& tags = current.tags;
    tags.emit = ends_walk && walk + 1 == pass_walks && in_plane + 1 == layer->in_planes && plane + 1 == layer->planes;
    tags.tile_first = is_tile_first;
    tags.first_chunk = chunk == 0;
    tags.last_chunk = chunk + 1 == layer->in_chunks;
    tags.tile_last = tags.emit && tags.last_chunk && position + 1 == layer->positions();
}

}  // namespace s2nn_engine
