// The engine's side of AXI4: burst_splitter.py, dma_read.py and dma_write.py, cycle by cycle in front of the bench's memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "axi_memory.h"
#include "latency.h"
#include "layer.h"
#include "queues.h"

namespace s2nn_engine {

// Values of spec.registers.Stream.
enum Stream { DESCRIPTOR, CODEBOOK, PARAMS, INDEX, INPUT, MAP, NUM_STREAMS };

// What a read is for, and the number of the descriptor that asked for it.
struct Owner {
    Stream stream = DESCRIPTOR;
    int64_t step = 0;
    bool last = false;  // of a burst: it ends its request
};

struct Request {
    int64_t address = 0, beats = 0;
    Owner owner;
};

class BurstSplitter {
public:
    explicit BurstSplitter(int64_t axi_bytes) : axi_bytes(axi_bytes) {}

    bool i_ready() const { return !left; }
    bool o_valid() const { return left; }
    int64_t address() const { return start; }
    int64_t beats() const {
        const int64_t room = (s2nn_axi::BOUNDARY_BYTES - start % s2nn_axi::BOUNDARY_BYTES) / axi_bytes;
        return std::min({left, room, MAX_BURST_BEATS});
    }
    bool is_last() const { return beats() == left; }

    void clock(bool i_valid, int64_t request_address, int64_t request_beats, bool o_ready) {
        if (!left) {
            start = request_address - request_address % axi_bytes;
            left = i_valid ? request_beats : 0;
        } else if (o_ready) {
            const int64_t moved = beats();
            start += moved * axi_bytes;
            left -= moved;
        }
    }

private:
    static constexpr int64_t MAX_BURST_BEATS = 256;

    const int64_t axi_bytes;
    int64_t start = 0, left = 0;  // left: beats
};

// An address channel's register, as the memory sees it.
struct AddressChannel {
    bool valid = false;
    int64_t address = 0, beats = 0;

    void offer(s2nn_axi::Memory& memory, s2nn_axi::Channel channel, int64_t axi_bytes) const {
        s2nn_axi::Payload payload;
        payload.add(static_cast<uint64_t>(address));
        payload.add(static_cast<uint64_t>(beats - 1));
        payload.add(static_cast<uint64_t>(__builtin_ctzll(axi_bytes)));
        payload.add(s2nn_axi::INCR);
        payload.add(0);
        memory.offer(channel, payload);
    }
};

class ReadDma {
public:
    explicit ReadDma(int64_t axi_bytes) : splitter(axi_bytes) {}

    bool i_ready() const { return splitter.i_ready(); }
    bool o_valid() const { return beats.o_valid(); }
    const Owner& beat() const { return beats.front(); }  // `last`: of its request
    const AddressChannel& ar() const { return channel; }
    const Owner& burst_owner() const { return channel_owner; }
    bool r_ready() const { return beats.i_ready(); }
    bool is_idle() const { return !splitter.o_valid() && owners.empty() && !beats.o_valid() && !channel.valid; }

    void clock(bool i_valid, const Request& request, bool o_ready, bool arready, bool rvalid, bool rlast) {
        const bool ar_free = !channel.valid || arready;
        const bool splitter_ready = ar_free && owners.size() != OUTSTANDING, load = splitter.o_valid() && splitter_ready;
        Owner data = owners.front();
        data.last = data.last && rlast;
        if (rvalid && rlast && r_ready()) owners.pop();
        beats.clock(rvalid, data, o_ready);
        if (load) {
            channel.address = splitter.address();
            channel.beats = splitter.beats();
            channel_owner = request_owner;
            Owner owner = request_owner;
            owner.last = splitter.is_last();
            owners.push(owner);
        }
        if (ar_free) channel.valid = load;
        if (i_valid && splitter.i_ready()) request_owner = request.owner;
        splitter.clock(i_valid, request.address, request.beats, splitter_ready);
    }

private:
    BurstSplitter splitter;
    Ring<Owner, OUTSTANDING> owners;
    SkidBuffer<Owner> beats;
    Owner request_owner, channel_owner;
    AddressChannel channel;
};

class WriteDma {
public:
    explicit WriteDma(int64_t axi_bytes) : splitter(axi_bytes) {}

    const AddressChannel& aw() const { return channel; }
    bool w_valid(bool i_valid) const { return sending && i_valid; }

    // A beat of zeros: the engine knows neither logits nor spikes.
    void offer_data(s2nn_axi::Memory& memory, int64_t axi_bytes) const {
        s2nn_axi::Payload payload;
        for (int64_t word = 0; word < axi_bytes; word += 8) payload.add(0);
        payload.add(axi_bytes < 64 ? (uint64_t{1} << axi_bytes) - 1 : ~uint64_t{0});
        payload.add(left == 1);
        memory.offer(s2nn_axi::W, payload);
    }
    bool i_ready(bool wready) const { return sending && wready; }
    bool b_ready() const { return waiting; }
    bool is_done() const { return done; }
    bool is_idle() const { return splitter.i_ready() && !waiting && !done; }

    void clock(bool requests, int64_t address, int64_t beats, bool i_valid, bool awready, bool wready, bool bvalid) {
        if (awready) channel.valid = false;
        if (w_valid(i_valid) && wready) sending = --left != 0;
        done = false;
        const bool was_waiting = waiting;
        if (!waiting) {
            channel = {splitter.o_valid(), splitter.address(), splitter.o_valid() ? splitter.beats() : 0};
            left = channel.beats;
            final = splitter.o_valid() && splitter.is_last();
            sending = waiting = splitter.o_valid();
        } else if (bvalid) {
            waiting = false;
            done = final;
        }
        splitter.clock(requests, address, beats, !was_waiting);
    }

private:
    BurstSplitter splitter;
    AddressChannel channel;
    int64_t left = 0;  // beats of this burst
    bool sending = false, waiting = false, final = false, done = false;
};

}  // namespace s2nn_engine
