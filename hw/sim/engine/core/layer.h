// What the engine knows of a program: the numbers of its configuration, its descriptors, and what each block costs.
#pragma once

#include <cstdint>

namespace s2nn_engine {

// Values of spec.descriptor.Opcode.
enum Opcode : int64_t { LOAD_INPUT = 1, CONV, CLASSIFY, LOAD_MAP, STORE_MAP };

// Values of spec.descriptor.Residual.
enum Residual : int64_t { NO_RESIDUAL, ADD, IAND, CURRENT };

// Field for field native.ConfigFields: numbers of an AcceleratorConfig, and the registers that the host writes.
struct Config {
    int64_t lanes, time_lanes, pixel_chunks, word_beats, current_bits;
    int64_t axi_bytes, descriptor_beats, params_beats, logits_beats;
    int64_t clock_period_ps;
    int64_t image_address, descriptor_offset, input_address, output_address, scratch_address;
};

// Field for field native.LayerFields, named as in spec.descriptor.
struct Layer {
    int64_t opcode, last, codebook, image_input, pool, pool_sum, gather, shared_taps, residual, symbol_bits, planes, steps;
    int64_t in_height, in_width, in_channels, in_blocks, in_chunks, in_planes, groups_y, groups_x;
    int64_t out_height, out_width, out_chunks, out_planes, residual_planes, tiles, load_membranes, store_membranes, resident, reuse_weights;
    int64_t tile_beats, codebook_beats, codebook_offset, params_offset, index_offset, keep_current;

    bool is_load() const { return opcode == LOAD_INPUT || opcode == LOAD_MAP; }
    bool is_store() const { return opcode == STORE_MAP; }
    bool runs() const { return opcode == CONV || opcode == CLASSIFY; }
    bool is_classifier() const { return opcode == CLASSIFY; }
    bool adds_current() const { return residual == CURRENT; }
    bool joins_spikes() const { return residual == ADD || residual == IAND; }
    // Its channels have two parameter words.
    bool has_param_pairs() const { return keep_current || adds_current(); }
    // It ends with a write to DRAM.
    bool writes() const { return is_store() || (is_classifier() && !store_membranes); }
    // Output positions before pooling: what the loop nest walks.
    int64_t positions() const { return out_height * out_width * (pool ? 4 : 1); }
};

constexpr int64_t GROUP_TAPS = 9;  // words of a gathered set
constexpr int64_t DESCRIPTOR_BYTES = 64, PARAM_BYTES = 4, CODEWORD_BYTES = 2;

}  // namespace s2nn_engine
