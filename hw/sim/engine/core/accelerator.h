// The whole accelerator, one clock edge after the other: accelerator.py and engine.py.
//
// It repeats the RTL's handshakes and registers, but none of its data: what depends on spikes comes in as the number of
// active windows of each block. A cycle has two parts: what the registers say (const members of the blocks), then their
// next values (clock).
#pragma once

#include <cstdint>
#include <vector>

#include "array.h"
#include "axi_memory.h"
#include "dma.h"
#include "fetcher.h"
#include "layer.h"
#include "loaders.h"
#include "loop_nest.h"
#include "neuron.h"
#include "sequencer.h"
#include "timeline.h"
#include "window.h"
#include "writer.h"

namespace s2nn_engine {

// Field for field native.LayerCounters: what is counted in one layer (of traffic: for it).
struct Counters {
    int64_t cycles[NUM_CAUSES];
    int64_t read_bytes[NUM_STREAMS], read_bursts[NUM_STREAMS];
    int64_t write_bytes, write_bursts;
    int64_t active_windows, silent_blocks;
    int64_t slice_writes, word_writes, updates;
};

class Accelerator {
public:
    // The memory must outlive this. Edge 0 is the first of a reset.
    Accelerator(const Config& config, std::vector<Layer> layers, s2nn_axi::Memory& memory);

    // Clock edges in reset; edges in which the host is busy and the accelerator idle.
    void reset(int64_t edges);
    void idle(int64_t edges);
    // From the cycle of the sequencer's START to that of DONE; false if it takes more cycles than that. costs: by layer,
    // see LoopNest. keep_weights: those of resident layers are in the buffer. Skipping changes nothing but the time that
    // it takes.
    bool run(const uint8_t* const* costs, bool keep_weights, int64_t timeout_cycles, bool may_skip,
             std::vector<Counters>& out);

    Timeline timeline;

    int64_t edges() const { return edge; }
    int64_t skipped() const { return num_skipped; }  // cycles that were not simulated one by one

private:
    struct Engine;

    bool step(Engine& engine, const uint8_t* const* costs);
    void clock_bus(Engine& engine, const Fetcher::Events& fetches, bool writes);
    int64_t skip(Engine& engine, int64_t limit);
    void record(const Sequencer::Events& events, const Fetcher::Events& fetches);
    static int64_t feed_window(Engine& engine, int64_t cycles, bool tile_ready);
    static int64_t stream(Engine& engine, int64_t cycles, Counters& now);
    int64_t issue(Engine& engine, int64_t cycles, bool tile_ready, Counters& now);
    int64_t time_ps() const { return edge * config.clock_period_ps; }

    const Config config;
    const std::vector<Layer> layers;
    s2nn_axi::Memory& memory;
    ReadDma read_dma;
    WriteDma write_dma;
    Sequencer sequencer;
    std::vector<Counters> counters;
    int64_t edge = 0, num_skipped = 0;
    int64_t shown_layer = -1, array_tile = 0, neuron_tile = 0;  // of the timeline
    bool memory_is_busy = false;
    bool bus_sleeps = false;  // nothing on the way from or to memory changes until the engine does something
};

}  // namespace s2nn_engine
