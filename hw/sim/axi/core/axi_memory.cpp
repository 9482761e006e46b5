#include "axi_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace s2nn_axi {

Memory* attached = nullptr;

Memory::Memory(const Parameters& parameters, uint8_t* data, std::unique_ptr<Columns> columns)
    : regions{{0, FOREVER}},
      parameters(parameters),
      bus_bytes(parameters.data_bits / 8),
      data(data),
      columns(std::move(columns)) {}

// -- clock edges ------------------------------------------------------------------------------------------------------

void Memory::reset(int64_t time_ps, int64_t data_bits) {
    edge(time_ps);
    // Not at the first edge: at that one the port's `failed` falls if the memory before this one left it high.
    if (is_period_known && data_bits != parameters.data_bits)
        violation.keep_first("data_bits must be the port's " + std::to_string(data_bits),
                             std::to_string(parameters.data_bits), "data_bits");
    stop();
    was_reset = true;
}

void Memory::clock(int64_t time_ps, bool rready, bool bready) {
    was_reset = false;
    if (origin_ps < 0 || !edge(time_ps)) return stop();
    const Outputs seen = shown;
    columns->advance(now_ps);
    if (aw.clock(seen.awready, violation)) writes.push_back({accept(AW, aw.payload())});
    if (w.clock(seen.wready, violation)) take_write_beat(w.payload());
    if (ar.clock(seen.arready, violation)) {
        const Burst burst = accept(AR, ar.payload());
        if (!violation) accept_read(burst);
    }
    if (violation) return stop();
    show_read(rready);
    show_response(bready);
    show_ready();
}

// Every edge: time goes on. Returns whether the memory still runs.
bool Memory::edge(int64_t time_ps) {
    if (origin_ps < 0) {
        origin_ps = time_ps;
    } else if (!is_period_known) {
        is_period_known = true;
        if (time_ps - origin_ps != parameters.clock_period_ps)
            violation.keep_first("the clock's period must be clock_period_ps = " +
                                     std::to_string(parameters.clock_period_ps),
                                 std::to_string(time_ps - origin_ps), "clock_period_ps");
    }
    now_ps = time_ps - origin_ps;
    is_new_beat = false;
    return !violation;
}

void Memory::stop() {
    reads.clear();
    writes.clear();
    responses.clear();
    for (Offers* channel : {&ar, &aw, &w}) channel->reset();
    shown = {};
}

bool Memory::is_busy() const {
    return was_reset || !(reads.empty() && writes.empty() && responses.empty()) || ar.is_waiting() ||
           aw.is_waiting() || w.is_waiting();
}

void Memory::show_ready() {
    const auto has_room = [&](std::size_t taken) { return static_cast<int64_t>(taken) < parameters.queue_depth; };
    shown.arready = has_room(reads.size()) && !stalls[AR].draw();
    shown.awready = has_room(writes.size() + responses.size()) && !stalls[AW].draw();
    shown.wready = !writes.empty() && !stalls[W].draw();
}

Burst Memory::accept(Channel channel, const Payload& payload) {
    const Burst burst = checked_burst(channel, payload, bus_bytes, violation);
    for (Region& region : regions) region.count(burst, channel == AW);
    return burst;
}

// -- reads ------------------------------------------------------------------------------------------------------------

void Memory::accept_read(const Burst& burst) {
    Read read;
    read.burst = burst;
    read.beats.resize(burst.beats);
    read.data.resize(burst.beats * bus_bytes);
    int64_t next_column = 0;
    for (int64_t number = 0; number < burst.beats; number++) {
        const int64_t address = burst.beat_address(number);
        Beat& beat = read.beats[number];
        beat.response = response_at(address);
        if (beat.response != OKAY) continue;
        const int64_t offset = address - parameters.base_address;
        submit(offset, burst.beat_bytes, false, next_column, read.tickets);
        beat.last = read.tickets.size();
        beat.first = beat.last - ((offset + burst.beat_bytes - 1) / columns->column_bytes -
                                  offset / columns->column_bytes + 1);
        std::memcpy(&read.data[number * bus_bytes], data + offset - offset % bus_bytes, bus_bytes);
    }
    reads.push_back(std::move(read));
}

void Memory::show_read(bool rready) {
    if (shown.rvalid) {
        if (!rready) return;
        Read& read = reads.front();
        if (++read.position == read.beats.size()) reads.pop_front();
    }
    shown.rvalid = false;
    if (reads.empty()) return;
    const Read& read = reads.front();
    const Beat& beat = read.beats[read.position];
    if (!are_done(read.tickets, beat.first, beat.last) || stalls[R].draw()) return;
    shown.rvalid = is_new_beat = true;
    shown.rresp = beat.response;
    shown.rlast = read.position + 1 == read.beats.size();
    shown.rid = read.burst.ident;
}

const uint8_t* Memory::beat_data() const { return &reads.front().data[reads.front().position * bus_bytes]; }

// -- writes -----------------------------------------------------------------------------------------------------------

void Memory::take_write_beat(const Payload& payload) {
    Write& write = writes.front();
    write.beats.push_back(payload);
    const bool is_last = static_cast<int64_t>(write.beats.size()) == write.burst.beats;
    const bool last = payload.words[payload.size - 1];
    if (last != is_last)
        violation.keep_first("wlast must mark beat " + std::to_string(write.burst.beats) + " of the burst",
                             std::to_string(last) + " at beat " + std::to_string(write.beats.size()), "w");
    if (!is_last) return;
    Write complete = std::move(write);
    writes.pop_front();
    store(std::move(complete));
}

// Put a complete burst into the memory and its touched columns behind the bus.
void Memory::store(Write write) {
    const auto num_data_words = static_cast<std::size_t>((parameters.data_bits + 63) / 64);
    int64_t next_column = 0;
    for (int64_t number = 0; number < write.burst.beats; number++) {
        const Payload& beat = write.beats[number];
        const int64_t address = write.burst.beat_address(number);
        const int response = response_at(address);
        write.response = std::max(write.response, response);
        const int64_t offset = address - parameters.base_address;
        uint8_t* word = data + offset - offset % bus_bytes;
        int64_t strobed = 0;
        for (int64_t lane = 0; lane < bus_bytes; lane++) {
            if (!(beat.words[num_data_words + lane / 64] >> lane % 64 & 1)) continue;
            strobed++;
            if (response == OKAY) word[lane] = static_cast<uint8_t>(beat.words[lane / 8] >> lane % 8 * 8);
        }
        for (Region& region : regions) region.traffic.strobed_bytes += region.holds(address) ? strobed : 0;
        if (response == OKAY && strobed) submit(offset, write.burst.beat_bytes, true, next_column, write.tickets);
    }
    responses.push_back(std::move(write));
}

void Memory::show_response(bool bready) {
    if (shown.bvalid) {
        if (!bready) return;
        responses.pop_front();
    }
    shown.bvalid = false;
    if (responses.empty()) return;
    const Write& write = responses.front();
    if (!are_done(write.tickets, 0, write.tickets.size()) || stalls[B].draw()) return;
    shown.bvalid = true;
    shown.bresp = write.response;
    shown.bid = write.burst.ident;
}

// -- both -------------------------------------------------------------------------------------------------------------

// Ask for the columns of the bytes [offset, offset + num_bytes) from `next_column` on, which is left behind the last.
void Memory::submit(int64_t offset, int64_t num_bytes, bool is_write, int64_t& next_column,
                    std::vector<int64_t>& tickets) {
    const int64_t last = (offset + num_bytes - 1) / columns->column_bytes;
    for (int64_t column = std::max(next_column, offset / columns->column_bytes); column <= last; column++)
        tickets.push_back(columns->submit(column * columns->column_bytes, is_write));
    next_column = last + 1;
}

bool Memory::are_done(const std::vector<int64_t>& tickets, std::size_t first, std::size_t last) const {
    for (std::size_t index = first; index < last; index++)
        if (columns->done_ps(tickets[index]) + parameters.latency_ps > now_ps) return false;
    return true;
}

int Memory::response_at(int64_t address) const {
    const int64_t offset = address - parameters.base_address;
    if (offset < 0 || offset >= parameters.size_bytes) return DECERR;
    for (const Fault& fault : faults)
        if (fault.start <= address && address < fault.end) return static_cast<int>(fault.response);
    return OKAY;
}

}  // namespace s2nn_axi
