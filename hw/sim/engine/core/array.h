// Scanner, compute pipeline and PE array: scanner.py, compute.py and pe_array.py, which move together or not at all.
#pragma once

#include <algorithm>
#include <cstdint>

#include "latency.h"
#include "loop_nest.h"
#include "queues.h"

namespace s2nn_engine {

class Array {
public:
    // -- the scanner

    bool takes_block() const { return !have || left == 0; }
    bool issues_active() const { return have && active; }
    bool issues_silent() const { return have && !active; }

    // -- the sums

    bool o_valid() const { return sums_valid; }
    const Tags& sums() const { return sums_tags; }
    // An enabled cycle lets the last operation of a tile read its weights.
    bool releases() const { return !releases_at.empty() && releases_at.front() == moved + 1; }
    bool is_busy() const { return have || scanned || moved - last_entry < ARRAY_DEPTH || sums_valid; }

    void clock(bool enable, bool i_valid, const Step& next, bool sums_ready) {
        if (sums_ready) sums_valid = false;
        if (!enable) return;
        const int64_t edge = ++moved;
        if (!releases_at.empty() && releases_at.front() == edge) releases_at.pop();
        if (!emissions.empty() && emissions.front().edge == edge) {
            sums_valid = true;
            sums_tags = emissions.front().tags;
            emissions.pop();
        }
        if (scanned) {
            last_entry = edge;
            if (scanned_tags.emit) emissions.push({edge + ARRAY_DEPTH, scanned_tags});
            if (scanned_tags.tile_last) releases_at.push(edge + WEIGHT_STAGES);
        }
        scanned = have;
        scanned_tags = block.tags;
        scanned_tags.emit &= left == 0;
        scanned_tags.tile_last &= left == 0;
        if (!have || left == 0) {
            have = i_valid;
            block = next;
            active = next.cost != 0;
            left = active ? next.cost - 1 : 0;
        } else {
            left--;
        }
    }

    // Enabled cycles before one that finishes sums or releases weights.
    int64_t cycles_to_event(int64_t limit) const {
        if (!emissions.empty()) limit = std::min(limit, emissions.front().edge - moved - 1);
        if (!releases_at.empty()) limit = std::min(limit, releases_at.front() - moved - 1);
        return limit;
    }

    // Of these, the next ones in which operations of the block are issued and nothing else, or nothing at all happens.
    int64_t quiet_cycles(int64_t limit) const {
        if (scanned && (scanned_tags.emit || scanned_tags.tile_last)) return 0;
        return have ? std::min(left, limit) : limit;
    }

    // That many enabled cycles.
    void skip(int64_t cycles) {
        if (scanned || (have && cycles > 1)) last_entry = moved + (have ? cycles : 1);
        moved += cycles;
        scanned = have;
        scanned_tags = {};
        if (have) left -= cycles;
    }

    // Blocks taken one after the other, and the cycles from now on up to the second operation of the last of them: by
    // then the window pipeline, full before, is full again.
    struct Stretch {
        int blocks = 0;
        int64_t active = 0, silent = 0;
        int64_t cycles() const { return active + silent; }
    };
    static constexpr int64_t REFILL = 2;

    // The longest one over the first `count` blocks of `next` that takes at most so many cycles, which
    // `cycles_to_event` bounds, and in which no sums are finished and no weights released.
    Stretch stretch(const Step* next, int64_t count, int64_t limit) const {
        Stretch longest, sum;
        if (!have || (scanned && (scanned_tags.emit || scanned_tags.tile_last))) return longest;
        (active ? sum.active : sum.silent) = left + 1;
        const Step* current = &block;
        for (int64_t k = 0; k < count && !current->tags.tile_last; k++) {
            // Its last operation is scanned in the cycle after the sum's, and finishes the sums that many later.
            if (current->tags.emit) limit = std::min(limit, sum.cycles() + ARRAY_DEPTH);
            if (sum.cycles() + REFILL > limit) break;
            current = next + k;
            if (current->cost > REFILL) longest = {static_cast<int>(k) + 1, sum.active + REFILL, sum.silent};
            (current->cost ? sum.active : sum.silent) += std::max<int64_t>(current->cost, 1);
        }
        return longest;
    }

    // That stretch.
    void take(const Step* next, const Stretch& stretch) {
        int64_t edge = moved + left + 1;  // at which the last operation of a block is scanned
        const Step* current = &block;
        for (int k = 0; k < stretch.blocks; k++) {
            if (current->tags.emit) emissions.push({edge + 1 + ARRAY_DEPTH, current->tags});
            current = next + k;
            edge += std::max<int64_t>(current->cost, 1);
        }
        block = *current;
        active = scanned = true;
        left = block.cost - 1 - REFILL;
        scanned_tags = {};
        last_entry = moved += stretch.cycles();
    }

private:
    struct Emission {
        int64_t edge;  // enabled edge at which the sums are there
        Tags tags;
    };

    bool have = false, active = false, scanned = false, sums_valid = false;
    int64_t left = 0;  // operations of the block behind the one that is issued
    Step block{};
    Tags scanned_tags{}, sums_tags{};
    int64_t moved = 0, last_entry = -ARRAY_DEPTH;  // enabled edges; the last one at which an operation entered
    static constexpr std::size_t QUEUE = 16;
    static_assert(std::size_t{ARRAY_DEPTH} < QUEUE, "an operation of each stage may end its sums");
    Ring<Emission, QUEUE> emissions;
    Ring<int64_t, QUEUE> releases_at;
};

}  // namespace s2nn_engine
