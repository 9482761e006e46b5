// The C interface of the engine, for native.py. No argument is checked here: run.py did that.
#include <algorithm>

#include "accelerator.h"

using s2nn_engine::Accelerator;
using s2nn_engine::Config;
using s2nn_engine::Counters;
using s2nn_engine::Layer;

extern "C" {

Accelerator* s2nn_engine_create(const Config* config, int64_t num_layers, const Layer* layers,
                                s2nn_axi::Memory* memory) {
    return new Accelerator(*config, {layers, layers + num_layers}, *memory);
}

void s2nn_engine_destroy(Accelerator* accelerator) { delete accelerator; }

void s2nn_engine_reset(Accelerator* accelerator, int64_t edges) { accelerator->reset(edges); }

void s2nn_engine_idle(Accelerator* accelerator, int64_t edges) { accelerator->idle(edges); }

int64_t s2nn_engine_run(Accelerator* accelerator, const uint8_t* const* costs, int64_t keep_weights,
                        int64_t timeout_cycles, int64_t may_skip, Counters* out) {
    std::vector<Counters> counters;
    if (!accelerator->run(costs, keep_weights != 0, timeout_cycles, may_skip != 0, counters)) return 0;
    std::copy(counters.begin(), counters.end(), out);
    return 1;
}

void s2nn_engine_record(Accelerator* accelerator) { accelerator->timeline.is_recording = true; }

int64_t s2nn_engine_num_spans(const Accelerator* accelerator) { return accelerator->timeline.spans.size(); }

void s2nn_engine_spans(const Accelerator* accelerator, int64_t first, s2nn_engine::Span* out) {
    std::copy(accelerator->timeline.spans.begin() + first, accelerator->timeline.spans.end(), out);
}

int64_t s2nn_engine_edges(const Accelerator* accelerator) { return accelerator->edges(); }

int64_t s2nn_engine_skipped(const Accelerator* accelerator) { return accelerator->skipped(); }

}  // extern "C"
