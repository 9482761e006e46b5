// Stalls of one AXI channel: for each cycle in which it could move, whether it waits instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace s2nn_axi {

// SplitMix64. Ref: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, fig. 16
inline uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

class Stalls {
public:
    // Random: stalls with probability `threshold` / 2**64. `stream` sets generators of one seed apart.
    void randomise(uint64_t seed, uint64_t stream, uint64_t threshold) {
        state = mix(mix(seed) + stream);
        limit = threshold;
    }

    // As listed, then never.
    void follow(std::vector<uint8_t> listed) { pattern = std::move(listed), limit = 0; }

    // Whether the channel stalls in this cycle.
    bool draw() {
        if (position < pattern.size()) return pattern[position++];
        return limit && mix(state += 0x9e3779b97f4a7c15) < limit;
    }

private:
    uint64_t state = 0, limit = 0;
    std::vector<uint8_t> pattern;
    std::size_t position = 0;
};

}  // namespace s2nn_axi
