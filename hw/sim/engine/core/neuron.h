// The neuron unit's states: neuron.py, without the membranes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "layer.h"
#include "loop_nest.h"

namespace s2nn_engine {

class Neurons {
public:
    Neurons(int64_t time_lanes, int64_t logits_beats) : time_lanes(time_lanes), logits_beats(logits_beats) {}

    void begin_layer(const Layer* next) { layer = next; }

    bool i_ready() const { return !held; }
    bool o_valid() const { return state == EMIT && !layer->is_classifier(); }
    bool has_logits() const { return state == LOGITS; }
    bool updates() const { return state == FIRE; }
    bool is_busy() const { return held || state != IDLE; }

    // Whether the sums in the holding register are begun in this cycle, and with them perhaps a tile.
    bool starts(bool has_params, bool o_ready) const {
        const bool is_free = state == IDLE || (state == EMIT && !continues() && !layer->is_classifier() && o_ready);
        return is_free && held && (!hold.tile_first || has_params);
    }
    bool takes_params(bool has_params, bool o_ready) const { return starts(has_params, o_ready) && hold.tile_first; }

    void clock(bool i_valid, const Tags& sums, bool has_params, bool o_ready, bool logits_ready) {
        const bool start = starts(has_params, o_ready);
        if (!held && i_valid) {
            held = true;
            hold = sums;
        }
        if (start) {
            t = 0;
            last_chunk = hold.last_chunk;
            if (hold.first_chunk) step = 0;
            state = layer->image_input ? FOLD : LEAK;
            return;
        }
        switch (state) {
            case IDLE: break;
            case FOLD:
                if (++t == time_lanes) {
                    held = false;
                    t = 0;
                    state = last_chunk ? LEAK : IDLE;
                }
                break;
            case LEAK: state = FIRE; break;
            case FIRE:
                step++;
                state = LEAK;
                if (++t == time_lanes || step == layer->steps) {
                    t = 0;
                    if (!layer->image_input) held = false;
                    state = EMIT;
                }
                break;
            case EMIT:
                if (!layer->is_classifier() && !o_ready) break;
                if (continues())
                    state = LEAK;
                else
                    state = layer->is_classifier() && last_chunk && layer->writes() ? LOGITS : IDLE;
                break;
            case LOGITS:
                if (logits_ready && ++beat == logits_beats) {
                    beat = 0;
                    state = IDLE;
                }
                break;
        }
    }

    // Cycles in which nothing happens but folds, leaks and fires.
    int64_t quiet_cycles(int64_t limit, bool has_params) const {
        switch (state) {
            case IDLE: return starts(has_params, false) ? 0 : limit;
            case FOLD: return time_lanes - t - 1;
            case LEAK: return 2 * fires_left() - 1;
            case FIRE: return 2 * fires_left() - 2;
            default: return 0;
        }
    }

    // That many cycles; returns how often the membranes were updated.
    int64_t skip(int64_t cycles) {
        if (state == FOLD) t += cycles;
        if (state != LEAK && state != FIRE) return 0;
        const int64_t fires = (cycles + (state == FIRE)) / 2;
        t += fires;
        step += fires;
        if (cycles % 2) state = state == LEAK ? FIRE : LEAK;
        return fires;
    }

private:
    enum State { IDLE, FOLD, LEAK, FIRE, EMIT, LOGITS };

    // An image drives further steps.
    bool continues() const { return layer->image_input && step != layer->steps; }
    int64_t fires_left() const { return std::min(time_lanes - t, layer->steps - step); }

    const int64_t time_lanes, logits_beats;
    const Layer* layer = nullptr;
    State state = IDLE;
    Tags hold{};
    bool held = false, last_chunk = false;
    int64_t t = 0, step = 0, beat = 0;
};

}  // namespace s2nn_engine
