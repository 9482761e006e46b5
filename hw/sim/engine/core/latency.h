// Every latency of the RTL that the engine repeats, in cycles, with the file of hw/rtl that it mirrors.
#pragma once

namespace s2nn_engine {

constexpr int WINDOW_STAGES = 6;    // window.py, _STAGES: from the skid buffer to the gather unit
constexpr int RESIDUAL_DEPTH = 16;  // residual_queue.py, _DEPTH: words behind those at the output
constexpr int WEIGHT_STAGES = 4;    // compute.py, `stages`: from the scanner's operation to the PE array
constexpr int ARRAY_STAGES = 4;     // pe_array.py, LATENCY + 1: from the PE array's input to its accumulators
constexpr int OUTSTANDING = 8;      // dma_read.py, max_outstanding: bursts
constexpr int FREE_HALVES = 2;      // fetcher.py, free_halves: tiles of weights that have a place
constexpr int FREE_PARAMS = 2;      // fetcher.py, free_params: tiles of parameters that have a place

// Operations between scanner and sums.
constexpr int ARRAY_DEPTH = WEIGHT_STAGES + ARRAY_STAGES;

}  // namespace s2nn_engine
