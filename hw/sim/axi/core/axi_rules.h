// AXI4 as the memory understands it: bursts and the rules that a master must keep.
//
// Ref: ARM IHI 0022 (AMBA AXI and ACE protocol specification), chapter "Single interface requirements": burst address
// calculation, the 4 KiB boundary, handshake stability, response encoding.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace s2nn_axi {

enum Channel : int { AR, R, AW, W, B, NUM_CHANNELS };
constexpr const char* CHANNEL_NAMES[NUM_CHANNELS] = {"ar", "r", "aw", "w", "b"};

enum Response : int { OKAY, EXOKAY, SLVERR, DECERR };
enum BurstType : int { FIXED, INCR, WRAP };

constexpr int64_t BOUNDARY_BYTES = 4096;
constexpr int MAX_BUS_WORDS = 1024 / 64;  // the widest bus of AXI4 in words of 64 bits

// The first rule that was broken. Parts of a SimulationError; `rule` is empty while nothing was.
struct Violation {
    std::string rule, value, field;

    explicit operator bool() const { return !rule.empty(); }

    void keep_first(const std::string& broken, const std::string& with, const std::string& where) {
        if (!*this) *this = {broken, with, where};
    }
};

std::string hex(uint64_t value);

// One address phase. AxLEN has eight bits, so that no burst has more than the 256 beats that AXI4 allows.
struct Burst {
    int64_t start = 0;       // address of the first beat, aligned to its size
    int64_t beats = 0;       // AxLEN + 1
    int64_t beat_bytes = 0;  // 2 ** AxSIZE
    int ident = 0;

    int64_t end() const { return start + beats * beat_bytes; }
    int64_t beat_address(int64_t beat) const { return start + beat * beat_bytes; }
};

// What a master shows on a channel, as words in the order of the specification's signal list.
struct Payload {
    std::array<uint64_t, MAX_BUS_WORDS + 3> words{};  // the most: data, strobes of 128 bits, last
    std::size_t size = 0;

    void add(uint64_t word) { words[size++] = word; }
    bool operator==(const Payload& other) const { return size == other.size && words == other.words; }
    std::string text() const;
};

// Words of the payload of AR and AW.
enum AddressWord { ADDRESS, LENGTH, SIZE, BURST, IDENT };

// The burst of an address payload; a rule that it breaks is kept in `violation`.
Burst checked_burst(Channel channel, const Payload& payload, int64_t bus_bytes, Violation& violation);

// A channel that the master drives: valid and payload must hold until ready.
class Offers {
public:
    explicit Offers(Channel channel) : channel(channel) {}

    // The master shows `next` at the coming clock edge.
    void show(const Payload& next) { shown = next, is_shown = true; }

    // One clock edge, with the `ready` that was seen at it; returns whether `payload` moved.
    bool clock(bool ready, Violation& violation);

    bool is_waiting() const { return waits; }
    const Payload& payload() const { return shown; }
    void reset() { is_shown = waits = false; }

private:
    Channel channel;
    Payload shown, offered;
    bool is_shown = false, waits = false;  // shown at this edge; offered at an earlier one and not taken
};

}  // namespace s2nn_axi
