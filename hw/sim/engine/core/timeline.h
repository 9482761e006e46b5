// Spans of time for a trace viewer: what ran when, by track, in clock edges.
#pragma once

#include <cstdint>
#include <vector>

namespace s2nn_engine {

// Field for field native.Span. Values of native.Track.
enum Track : int64_t { ON_LAYER, ON_ARRAY, ON_NEURONS, ON_READ, ON_WRITE, ON_MEMORY };

struct Span {
    int64_t track;
    int64_t layer;   // number of the descriptor that it is for; of ON_MEMORY: of the one that runs
    int64_t detail;  // ON_ARRAY, ON_NEURONS: tile; ON_READ: Stream; otherwise 0
    int64_t start, end;
};

class Timeline {
public:
    bool is_recording = false;
    std::vector<Span> spans;

    // Spans of a track end in the order in which they began.
    void begin(Track track, int64_t layer, int64_t detail, int64_t edge) {
        if (!is_recording) return;
        spans.push_back({track, layer, detail, edge, OPEN});
    }

    void end(Track track, int64_t edge) {
        if (!is_recording) return;
        for (std::size_t index = first_open; index < spans.size(); index++) {
            if (spans[index].track != track || spans[index].end != OPEN) continue;
            spans[index].end = edge;
            break;
        }
        while (first_open < spans.size() && spans[first_open].end != OPEN) first_open++;
    }

    // All that is open ends, too.
    void close(int64_t edge) {
        for (; first_open < spans.size(); first_open++)
            if (spans[first_open].end == OPEN) spans[first_open].end = edge;
    }

private:
    static constexpr int64_t OPEN = -1;
    std::size_t first_open = 0;
};

}  // namespace s2nn_engine
