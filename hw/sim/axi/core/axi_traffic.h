// Traffic of an address range: what crossed the bus, counted by burst and by byte.
#pragma once

#include <algorithm>
#include <cstdint>

#include "axi_rules.h"

namespace s2nn_axi {

// Field for field native.Traffic. `*_bytes` are whole beats as the bus moves them, `strobed_bytes` what is written.
struct Traffic {
    int64_t read_bursts, read_bytes, write_bursts, write_bytes, strobed_bytes;
};

// The addresses [start, end). A burst belongs to the region of its first beat, a byte to its own region.
struct Region {
    int64_t start, end;
    Traffic traffic{};

    bool holds(int64_t address) const { return start <= address && address < end; }

    void count(const Burst& burst, bool is_write) {
        const int64_t overlap = std::max<int64_t>(0, std::min(end, burst.end()) - std::max(start, burst.start));
        (is_write ? traffic.write_bursts : traffic.read_bursts) += holds(burst.start);
        (is_write ? traffic.write_bytes : traffic.read_bytes) += overlap;
    }
};

}  // namespace s2nn_axi
