// An AXI4 subordinate whose data are bytes and whose timing is that of the columns behind it.
//
// A read burst is split into columns when its address is accepted; R beats return in order, each at the first clock
// edge at which its columns are there: done behind the bus plus a fixed controller and PHY latency. A write burst is
// taken in whole, stored, then written to its columns; B follows the last of them. Reads see the writes that were taken
// in before their address was, whatever order the columns have. Outputs are registered: what a clock edge decides is
// shown after it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "axi_columns.h"
#include "axi_rules.h"
#include "axi_stalls.h"
#include "axi_traffic.h"

namespace s2nn_axi {

// Field for field native.Parameters.
struct Parameters {
    int64_t data_bits, size_bytes, base_address;
    int64_t clock_period_ps;
    int64_t latency_ps;   // of controller and PHY, on reads and on write responses
    int64_t queue_depth;  // bursts of each direction that are accepted before the oldest is answered
};

// Field for field native.FaultFields: the addresses [start, end) answer `response`, hold no data (reads give 0) and
// cause no column.
struct Fault {
    int64_t start, end, response;
};

// What the memory shows after a clock edge.
struct Outputs {
    bool arready = false, awready = false, wready = false;
    bool rvalid = false, rlast = false, bvalid = false;
    int rresp = OKAY, bresp = OKAY, rid = 0, bid = 0;
};

class Memory {
public:
    Memory(const Parameters& parameters, uint8_t* data, std::unique_ptr<Columns> columns);

    // -- the clocked side: at each edge the offers of the master, then reset or clock

    void offer(Channel channel, const Payload& payload) { offers(channel).show(payload); }

    // An edge in reset: everything in progress is dropped and no channel is ready. `data_bits` is the port's.
    void reset(int64_t time_ps, int64_t data_bits);
    // Any other edge; before the first reset, the memory is silent. It may be left out while the memory is not busy and
    // neither address channel is valid.
    void clock(int64_t time_ps, bool rready, bool bready);

    bool is_busy() const;
    bool has_new_beat() const { return is_new_beat; }  // R holds another beat than before this edge
    const uint8_t* beat_data() const;                  // of R, `data_bits` / 8 bytes
    const Outputs& outputs() const { return shown; }

    // -- the bench's side

    Stalls stalls[NUM_CHANNELS];
    std::vector<Fault> faults;
    std::vector<Region> regions;  // the first is the whole address space
    Violation violation;          // the memory stops at the first
    int64_t origin_ps = -1;       // time of the first edge in reset, -1 before it

private:
    // `is_done` when its columns are: those with an index in [first, last) of the burst's tickets.
    struct Beat {
        int response = OKAY;
        std::size_t first = 0, last = 0;
    };

    struct Read {
        Burst burst;
        std::vector<Beat> beats;
        std::vector<uint8_t> data;  // whole bus words, beat after beat
        std::vector<int64_t> tickets;
        std::size_t position = 0;
    };

    struct Write {
        Burst burst;
        std::vector<Payload> beats{};
        int response = OKAY;
        std::vector<int64_t> tickets{};
    };

    Offers& offers(Channel channel) { return channel == AR ? ar : channel == AW ? aw : w; }
    bool edge(int64_t time_ps);
    Burst accept(Channel channel, const Payload& payload);
    void accept_read(const Burst& burst);
    void take_write_beat(const Payload& payload);
    void store(Write write);
    void show_read(bool rready);
    void show_response(bool bready);
    void show_ready();
    void stop();

    int response_at(int64_t address) const;
    bool are_done(const std::vector<int64_t>& tickets, std::size_t first, std::size_t last) const;
    void submit(int64_t offset, int64_t num_bytes, bool is_write, int64_t& next_column, std::vector<int64_t>& tickets);

    const Parameters parameters;
    const int64_t bus_bytes;
    uint8_t* const data;
    const std::unique_ptr<Columns> columns;
    Offers ar{AR}, aw{AW}, w{W};
    std::deque<Read> reads;
    std::deque<Write> writes;     // addresses taken, data not complete
    std::deque<Write> responses;  // complete, in order
    Outputs shown;
    int64_t now_ps = 0;  // since origin_ps
    bool is_period_known = false, was_reset = false, is_new_beat = false;
};

// The memory that the simulation's axi_memory.sv talks to; null: none, and the bus is silent.
extern Memory* attached;

}  // namespace s2nn_axi
