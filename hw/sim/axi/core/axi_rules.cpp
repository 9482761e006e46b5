#include "axi_rules.h"

#include <cinttypes>
#include <cstdio>

namespace s2nn_axi {

std::string hex(uint64_t value) {
    char text[2 + 16 + 1];
    std::snprintf(text, sizeof text, "0x%" PRIx64, value);
    return text;
}

std::string Payload::text() const {
    std::string result;
    for (std::size_t i = 0; i < size; i++) result += (i ? " " : "") + hex(words[i]);
    return result;
}

Burst checked_burst(Channel channel, const Payload& payload, int64_t bus_bytes, Violation& violation) {
    const std::string field = CHANNEL_NAMES[channel];
    const auto address = static_cast<int64_t>(payload.words[ADDRESS]);
    Burst burst;
    burst.beats = static_cast<int64_t>(payload.words[LENGTH]) + 1;
    burst.beat_bytes = int64_t{1} << payload.words[SIZE];
    burst.start = address - address % burst.beat_bytes;
    burst.ident = static_cast<int>(payload.words[IDENT]);
    if (payload.words[BURST] != INCR)
        violation.keep_first("a burst must be of type INCR", std::to_string(payload.words[BURST]), field);
    if (burst.beat_bytes > bus_bytes)
        violation.keep_first("a beat must fit the bus of " + std::to_string(bus_bytes) + " bytes",
                             std::to_string(burst.beat_bytes), field);
    if (address / BOUNDARY_BYTES != (burst.end() - 1) / BOUNDARY_BYTES)
        violation.keep_first("a burst must not cross 4 KiB", hex(address) + ".." + hex(burst.end()), field);
    return burst;
}

bool Offers::clock(bool ready, Violation& violation) {
    const char* const field = CHANNEL_NAMES[channel];
    if (waits && !is_shown) violation.keep_first("valid must hold until ready", "withdrawn", field);
    if (waits && is_shown && !(shown == offered))
        violation.keep_first("the payload must hold until ready: " + offered.text() + " was offered", shown.text(),
                             field);
    const bool moves = is_shown && ready;
    if (is_shown && !waits) offered = shown;
    waits = is_shown && !ready;
    is_shown = false;
    return moves;
}

}  // namespace s2nn_axi
