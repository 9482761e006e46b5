// The neuron unit's states: neuron.py and currents.py, without the membranes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "layer.h"
#include "loop_nest.h"

namespace s2nn_engine {

class Neurons {
public:
    explicit Neurons(const Config& config)
        : time_lanes(config.time_lanes), logits_beats(config.logits_beats), current_bits(config.current_bits) {}

    void begin_layer(const Layer* next) {
        layer = next;
        currents = 0;
    }

    bool i_ready() const { return !held; }
    bool o_valid() const { return (state == EMIT && !layer->is_classifier()) || state == KEPT; }
    bool takes_current() const { return layer->adds_current() && !has_currents() && state != KEPT; }
    bool has_logits() const { return state == LOGITS; }
    bool updates() const { return state == FIRE; }
    bool is_busy() const { return held || state != IDLE; }

    // Whether the sums in the holding register are begun in this cycle, and with them perhaps a tile.
    bool starts(bool has_params, bool o_ready) const {
        const bool leaves = !continues() && !layer->is_classifier() && !layer->keep_current && o_ready;
        const bool is_free = state == IDLE || (state == EMIT && leaves);
        return is_free && held && (!hold.tile_first || has_params) && (has_currents() || !layer->adds_current());
    }
    bool takes_params(bool has_params, bool o_ready) const { return starts(has_params, o_ready) && hold.tile_first; }

    // has_current: a plane of the currents that are added is at hand.
    void clock(bool i_valid, const Tags& sums, bool has_params, bool has_current, bool o_ready, bool logits_ready) {
        const bool start = starts(has_params, o_ready);
        currents += has_current && takes_current();
        if (!held && i_valid) {
            held = true;
            hold = sums;
        }
        if (start) {
            t = 0;
            last_chunk = hold.last_chunk;
            if (hold.first_chunk) step = 0;
            state = layer->image_input ? FOLD : layer->adds_current() ? ADD_FIRST : LEAK;
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
            case ADD_FIRST: state = ADDED; break;
            case ADDED: state = LEAK; break;
            case LEAK: state = FIRE; break;
            case FIRE:
                step++;
                state = LEAK;
                if (++t == time_lanes || step == layer->steps) {
                    t = 0;
                    if (!layer->image_input) held = false;
                    if (!layer->keep_current) currents = 0;
                    state = EMIT;
                }
                break;
            case EMIT:
                if (!layer->is_classifier() && !o_ready) break;
                if (layer->keep_current)
                    state = KEPT;
                else if (continues())
                    state = LEAK;
                else
                    state = layer->is_classifier() && last_chunk && layer->writes() ? LOGITS : IDLE;
                break;
            case KEPT:
                if (o_ready && ++kept_plane == current_bits) {
                    kept_plane = currents = 0;
                    state = continues() ? LEAK : IDLE;
                }
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
    enum State { IDLE, FOLD, ADD_FIRST, ADDED, LEAK, FIRE, EMIT, KEPT, LOGITS };

    // All planes of the currents that the next chunk adds are here.
    bool has_currents() const { return currents == current_bits; }
    // An image drives further steps.
    bool continues() const { return layer->image_input && step != layer->steps; }
    int64_t fires_left() const { return std::min(time_lanes - t, layer->steps - step); }

    const int64_t time_lanes, logits_beats, current_bits;
    const Layer* layer = nullptr;
    State state = IDLE;
    Tags hold{};
    bool held = false, last_chunk = false;
    int64_t t = 0, step = 0, beat = 0, currents = 0, kept_plane = 0;
};

}  // namespace s2nn_engine
