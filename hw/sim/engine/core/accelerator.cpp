#include "accelerator.h"

#include <algorithm>
#include <utility>

namespace s2nn_engine {

// What a reset at the end of a run clears: engine.py.
struct Accelerator::Engine {
    Engine(const Config& config, const std::vector<Layer>& layers, bool keep_weights)
        : fetcher(config, layers, keep_weights),
          params(config),
          codebook(config),
          input(config),
          map_loader(config),
          map_storer(config),
          neurons(config),
          layer(&layers.front()) {
        neurons.begin_layer(layer);
        writer.begin_layer(layer);
    }

    Fetcher fetcher;
    ParamsLoader params;
    CodebookLoader codebook;
    InputLoader input;
    MapLoader map_loader;
    MapStorer map_storer;
    LoopNest loop_nest;
    WindowReader window;
    Array array;
    Neurons neurons;
    SpikeWriter writer;
    const Layer* layer;  // that runs

    // A word of a map waits to be written to DRAM; logits do.
    bool has_word() const { return layer->is_store() && window.has_residual(); }
    // The neurons take a plane of currents.
    bool brings_current() const { return neurons.takes_current() && window.has_residual(); }
    bool has_writes() const { return neurons.has_logits() || has_word(); }

    bool is_pipeline_busy() const {
        return window.is_busy() || array.is_busy() || neurons.is_busy() || writer.is_busy();
    }
};

Accelerator::Accelerator(const Config& config, std::vector<Layer> layers, s2nn_axi::Memory& memory)
    : config(config),
      layers(std::move(layers)),
      memory(memory),
      read_dma(config.axi_bytes),
      write_dma(config.axi_bytes) {}

void Accelerator::reset(int64_t edges) {
    for (; edges > 0; edges--, edge++) memory.reset(time_ps(), 8 * config.axi_bytes);
    memory_is_busy = memory.is_busy();
}

void Accelerator::idle(int64_t edges) {
    for (const int64_t end = edge + edges; edge < end; edge++) {
        if (!memory_is_busy) continue;
        memory.clock(time_ps(), true, false);
        memory_is_busy = memory.is_busy();
    }
}

bool Accelerator::run(const uint8_t* const* costs, bool keep_weights, int64_t timeout_cycles, bool may_skip,
                      std::vector<Counters>& out) {
    Engine engine(config, layers, keep_weights);
    counters.assign(layers.size(), {});
    sequencer.start();
    bus_sleeps = false;
    shown_layer = -1;
    const int64_t end = edge + timeout_cycles;
    while (edge < end) {
        if (step(engine, costs)) {
            timeline.close(edge);
            out = counters;
            return true;
        }
        if (!may_skip) continue;
        const int64_t skipped = skip(engine, end - edge);
        edge += skipped;
        num_skipped += skipped;
    }
    return false;
}

// One clock edge; true when it leads to DONE.
bool Accelerator::step(Engine& e, const uint8_t* const* costs) {
    // From the neurons backwards: who can move.
    const bool has_params = e.params.o_valid();
    const bool word = e.neurons.o_valid() || e.input.o_valid() || e.map_loader.o_valid();
    const bool write_ready = write_dma.i_ready(memory.outputs().wready), has_word = e.has_word();
    const bool adds = e.layer->adds_current(), has_current = e.window.has_residual() && adds;
    const bool has_residual = e.window.has_residual() && !e.layer->is_store() && !adds;
    const bool residual_ready = e.layer->is_store() ? e.map_storer.i_ready(write_ready)
                                : adds              ? e.neurons.takes_current()
                                                    : e.writer.residual_ready();
    const bool writer_ready = e.writer.i_ready();
    const bool sums = e.array.o_valid(), sums_ready = e.neurons.i_ready(), enable = !sums || sums_ready;
    const bool takes_block = enable && e.array.takes_block(), has_block = e.window.o_valid();
    const bool has_step = e.loop_nest.o_valid(), step_ready = e.window.i_ready();
    const bool tile_ready = e.fetcher.is_tile_ready();

    Sequencer::Events events;
    events.has_descriptor = e.fetcher.has_descriptor();
    events.input_busy = e.input.is_busy() || e.map_loader.is_busy();
    events.loop_busy = e.loop_nest.is_busy();
    events.waiting = e.loop_nest.is_waiting();
    events.pipeline_busy = events.loop_busy || e.is_pipeline_busy();  // without the loops nobody asks
    events.issue_active = enable && e.array.issues_active();
    events.issue_silent = enable && e.array.issues_silent();
    events.stall = !enable;
    events.has_writes = e.has_writes();
    events.write_done = write_dma.is_done();

    Fetcher::Events fetches;
    fetches.start = sequencer.starts_engine();
    fetches.takes_descriptor = sequencer.takes(events.has_descriptor);
    fetches.takes_params = e.neurons.takes_params(has_params, writer_ready);
    fetches.releases = enable && e.array.releases();
    fetches.takes_tile = e.loop_nest.takes_tile(tile_ready);

    Counters& now = counters[sequencer.layer()];
    if (sequencer.is_counted()) now.cycles[sequencer.cause(events)]++;
    now.active_windows += events.issue_active;
    now.silent_blocks += events.issue_silent;
    now.updates += e.neurons.updates() * config.lanes;
    now.word_writes += e.writer.writes();

    if (timeline.is_recording) record(events, fetches);

    // Next values.
    const Layer* next_layer = fetches.takes_descriptor ? &layers[e.fetcher.descriptor()] : e.layer;
    if (!bus_sleeps || fetches.any() || events.has_writes) clock_bus(e, fetches, sequencer.writes(events.has_writes));
    e.map_storer.clock(has_word, write_ready);
    e.neurons.clock(sums, e.array.sums(), has_params, has_current, writer_ready, write_ready);
    e.writer.clock(word, has_residual);
    e.array.clock(enable, has_block, e.window.block(), sums_ready);
    e.window.clock(has_step, e.loop_nest.step(), takes_block, residual_ready);
    e.loop_nest.clock(step_ready, tile_ready);
    if (sequencer.begins()) {
        e.writer.begin_layer(e.layer);
        e.neurons.begin_layer(e.layer);
        if (e.layer->opcode == LOAD_INPUT)
            e.input.start(e.layer);
        else if (e.layer->opcode == LOAD_MAP)
            e.map_loader.start(e.layer);
        else
            e.loop_nest.start(*e.layer, costs[sequencer.layer()]);
        bus_sleeps = false;
    }
    sequencer.clock(*e.layer, events);
    e.layer = next_layer;
    edge++;
    return sequencer.is_done();
}

// Layers, and the tiles in array and neurons; a tile is with the neurons until they take the next one's parameters.
void Accelerator::record(const Sequencer::Events& events, const Fetcher::Events& fetches) {
    const int64_t layer = sequencer.layer();
    if (layer != shown_layer) {
        for (const Track track : {ON_LAYER, ON_NEURONS}) timeline.end(track, edge);
        timeline.begin(ON_LAYER, layer, 0, edge);
        shown_layer = layer;
        array_tile = neuron_tile = 0;
    }
    if (fetches.releases) timeline.end(ON_ARRAY, edge);
    if (fetches.takes_tile) timeline.begin(ON_ARRAY, layer, array_tile++, edge);
    if (fetches.takes_params) {
        if (neuron_tile) timeline.end(ON_NEURONS, edge);
        timeline.begin(ON_NEURONS, layer, neuron_tile++, edge);
    }
    if (events.write_done) timeline.end(ON_WRITE, edge);
}

// The same edge for all that moves data: fetcher, DMAs, memory and loaders. `writes`: a write is to begin.
void Accelerator::clock_bus(Engine& e, const Fetcher::Events& fetches, bool writes) {
    const s2nn_axi::Outputs bus = memory.outputs();
    const bool has_writes = e.has_writes();

    // Read data to its place.
    const Owner beat = read_dma.beat();
    const bool has_beat = read_dma.o_valid();
    const auto brings = [&](Stream stream) { return has_beat && beat.stream == stream; };
    bool beat_ready = true;
    if (beat.stream == PARAMS) beat_ready = e.params.i_ready();
    if (beat.stream == CODEBOOK) beat_ready = e.codebook.i_ready();
    if (beat.stream == INPUT) beat_ready = e.input.i_ready();

    if (brings(INDEX)) counters[beat.step].slice_writes += 8 * config.axi_bytes / config.lanes;
    if (read_dma.ar().valid && bus.arready) {
        const Owner& owner = read_dma.burst_owner();
        counters[owner.step].read_bursts[owner.stream]++;
        counters[owner.step].read_bytes[owner.stream] += read_dma.ar().beats * config.axi_bytes;
    }
    if (write_dma.aw().valid && bus.awready) {
        Counters& now = counters[sequencer.layer()];
        now.write_bursts++;
        now.write_bytes += write_dma.aw().beats * config.axi_bytes;
    }

    // The memory sees what the registers hold, and is not called while it is idle and nobody asks: axi_memory.sv.
    if (memory_is_busy || read_dma.ar().valid || write_dma.aw().valid) {
        if (read_dma.ar().valid) read_dma.ar().offer(memory, s2nn_axi::AR, config.axi_bytes);
        if (write_dma.aw().valid) write_dma.aw().offer(memory, s2nn_axi::AW, config.axi_bytes);
        if (write_dma.w_valid(has_writes)) write_dma.offer_data(memory, config.axi_bytes);
        memory.clock(time_ps(), read_dma.r_ready(), write_dma.b_ready());
        const bool was_busy = std::exchange(memory_is_busy, memory.is_busy());
        if (memory_is_busy && !was_busy) timeline.begin(ON_MEMORY, sequencer.layer(), 0, edge);
        if (was_busy && !memory_is_busy) timeline.end(ON_MEMORY, edge);
    }

    const bool is_requested = e.fetcher.requests(), request_ready = read_dma.i_ready();
    const Request request = is_requested ? e.fetcher.request() : Request{};
    if (is_requested && request_ready) timeline.begin(ON_READ, request.owner.step, request.owner.stream, edge);
    if (has_beat && beat_ready && beat.last) timeline.end(ON_READ, edge);
    if (writes) timeline.begin(ON_WRITE, sequencer.layer(), 0, edge);
    const bool is_store = e.layer->is_store();
    write_dma.clock(writes, is_store ? config.scratch_address + e.layer->index_offset : config.output_address,
                    is_store ? e.layer->tile_beats : config.logits_beats, has_writes, bus.awready, bus.wready, bus.bvalid);
    read_dma.clock(is_requested, request, beat_ready, bus.arready, bus.rvalid, bus.rlast);
    e.params.clock(brings(PARAMS), layers[beat.step].has_param_pairs(), fetches.takes_params);
    e.codebook.clock(brings(CODEBOOK));
    e.input.clock(brings(INPUT));
    e.map_loader.clock(brings(MAP));
    e.fetcher.clock(fetches, request_ready, has_beat && beat_ready && beat.last ? &beat : nullptr);
    bus_sleeps = !memory_is_busy && read_dma.is_idle() && write_dma.is_idle() && e.fetcher.is_quiet() &&
                 e.params.is_quiet() && !e.input.is_busy() && !e.map_loader.is_busy();
}

// Cycles in which neither bus nor neurons nor writer do anything but count down: returns how many passed.
int64_t Accelerator::skip(Engine& e, int64_t limit) {
    if (!bus_sleeps || !sequencer.runs() || e.writer.is_busy() || e.layer->is_store()) return 0;
    // At a layer's end the array's running empty is seen by the sequencer.
    if (!e.loop_nest.is_busy() && !e.neurons.is_busy()) return 0;
    const bool sums = e.array.o_valid();
    if (sums && e.neurons.i_ready()) return 0;
    const int64_t quiet = e.neurons.quiet_cycles(limit, e.params.o_valid());
    if (quiet <= 0) return 0;
    const bool tile_ready = e.fetcher.is_tile_ready();
    Counters& now = counters[sequencer.layer()];
    const int64_t passed = sums ? feed_window(e, quiet, tile_ready) : issue(e, quiet, tile_ready, now);
    if (sums) now.cycles[NEURON] += passed;
    now.updates += e.neurons.skip(passed) * config.lanes;
    return passed;
}

// The window pipeline alone, while the scanner takes no block: it moves until it is full, at most `cycles` of them, and
// not beyond a cycle in which the loops take a tile. Returns how many cycles may pass.
int64_t Accelerator::feed_window(Engine& e, int64_t cycles, bool tile_ready) {
    for (int64_t passed = 0; passed < cycles; passed++) {
        const bool has_step = e.loop_nest.o_valid(), step_ready = e.window.i_ready();
        if (e.loop_nest.takes_tile(tile_ready) || e.brings_current()) return passed;
        if (e.window.is_quiet(has_step)) return cycles;
        e.window.clock(has_step, e.loop_nest.step(), false, false);
        e.loop_nest.clock(step_ready, tile_ready);
    }
    return cycles;
}

// Blocks in a row out of a window pipeline that is full and stays so, for at most that many cycles: returns how many
// passed.
int64_t Accelerator::stream(Engine& e, int64_t cycles, Counters& now) {
    WindowReader::Contents next;
    if (!e.window.is_full_of(next)) return 0;
    const int64_t count = std::min<int64_t>(next.size(), e.loop_nest.blocks_ahead());
    const Array::Stretch stretch = e.array.stretch(next.data(), count, cycles);
    if (!stretch.blocks) return 0;
    e.array.take(next.data(), stretch);
    auto place = std::move(next.begin() + stretch.blocks, next.end(), next.begin());
    for (; place != next.end(); place++) {
        *place = e.loop_nest.step();
        e.loop_nest.clock(true, false);
    }
    e.window.fill(next);
    now.cycles[COMPUTE] += stretch.active;
    now.active_windows += stretch.active;
    now.cycles[SILENT] += stretch.silent;
    now.silent_blocks += stretch.silent;
    return stretch.cycles();
}

// Array and windows alone, up to a cycle that finishes sums, releases weights or takes a tile.
int64_t Accelerator::issue(Engine& e, int64_t cycles, bool tile_ready, Counters& now) {
    int64_t passed = 0;
    cycles = e.array.cycles_to_event(cycles);
    while (passed < cycles) {
        if (e.loop_nest.takes_tile(tile_ready) || e.brings_current()) break;
        if (const int64_t streamed = stream(e, cycles - passed, now)) {
            passed += streamed;
            cycles = std::min(cycles, passed + e.array.cycles_to_event(cycles));
            continue;
        }
        const bool takes = e.array.takes_block(), has_block = e.window.o_valid(), has_step = e.loop_nest.o_valid();
        int64_t quiet = takes && (has_block || !e.window.is_quiet(has_step)) ? 0 : e.array.quiet_cycles(cycles - passed);
        Sequencer::Events events{};
        events.loop_busy = e.loop_nest.is_busy();
        events.waiting = e.loop_nest.is_waiting();
        events.issue_active = e.array.issues_active();
        events.issue_silent = e.array.issues_silent();
        if (quiet > 0) {
            if (!takes) quiet = feed_window(e, quiet, tile_ready);
            e.array.skip(quiet);
        } else {
            const bool step_ready = e.window.i_ready();
            e.array.clock(true, has_block, e.window.block(), false);
            e.window.clock(has_step, e.loop_nest.step(), takes, false);
            e.loop_nest.clock(step_ready, tile_ready);
            quiet = 1;
            // What was scanned may be a new end of sums or of a tile.
            cycles = std::min(cycles, passed + 1 + e.array.cycles_to_event(cycles));
        }
        now.cycles[sequencer.cause(events)] += quiet;
        now.active_windows += events.issue_active ? quiet : 0;
        now.silent_blocks += events.issue_silent ? quiet : 0;
        passed += quiet;
    }
    return passed;
}

}  // namespace s2nn_engine
