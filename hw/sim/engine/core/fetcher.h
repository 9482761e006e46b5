// Walks the program one layer ahead of the sequencer and one tile ahead of the array: fetcher.py.
#pragma once

#include <cstdint>
#include <vector>

#include "dma.h"
#include "latency.h"
#include "layer.h"

namespace s2nn_engine {

class Fetcher {
public:
    // keep_weights: the weights of resident layers are in the buffer.
    Fetcher(const Config& config, const std::vector<Layer>& layers, bool keep_weights)
        : config(config), layers(layers), keep_weights(keep_weights) {}

    // What the rest of the engine does in a cycle.
    struct Events {
        bool start = false, takes_descriptor = false, takes_params = false, releases = false, takes_tile = false;

        bool any() const { return start || takes_descriptor || takes_params || releases || takes_tile; }
    };

    bool has_descriptor() const { return descriptor_valid; }
    int64_t descriptor() const { return step; }
    bool is_tile_ready() const { return (tiles_ready || keeps) && (codebooks_ready || !needs_codebook); }

    bool requests() const;
    Request request() const;
    // Nothing to ask for until something else happens.
    bool is_quiet() const;

    // `arrived`: the beat that is taken in this cycle ends its request, null if none does.
    void clock(const Events& events, bool request_ready, const Owner* arrived);

private:
    enum State { IDLE, DESCRIPTOR_, ARRIVE, CHECK, BEGIN, CODEBOOK_, PARAMS_, INDEX_, TAKEN, INPUT_, NEXT };

    const Layer& layer() const { return layers[step]; }
    bool is_kept() const { return layer().resident && (keep_weights || layer().reuse_weights); }
    void walk(const Events& events, bool is_asked, bool descriptor_arrived);

    const Config& config;
    const std::vector<Layer>& layers;
    const bool keep_weights;
    State state = IDLE;
    int64_t step = -1;  // number of the descriptor that was read last
    int64_t tile = 0;
    int64_t tiles_ready = 0, codebooks_ready = 0, free_halves = FREE_HALVES, free_params = FREE_PARAMS;
    bool descriptor_valid = false, needs_codebook = false;
    bool keeps = false;  // the layer that runs has its weights from an earlier image
};

}  // namespace s2nn_engine
