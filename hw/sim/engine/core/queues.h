// The queues between blocks: a skid buffer, Amaranth's buffered FIFO, and a plain ring.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace s2nn_engine {

// A queue of at most CAPACITY (a power of two) values, without time.
template <class T, std::size_t CAPACITY>
class Ring {
    static_assert((CAPACITY & (CAPACITY - 1)) == 0, "must be a power of two");

public:
    bool empty() const { return begin == end; }
    std::size_t size() const { return end - begin; }
    const T& front() const { return values[begin % CAPACITY]; }
    void push(const T& value) { values[end++ % CAPACITY] = value; }
    void pop() { begin++; }

private:
    std::array<T, CAPACITY> values{};
    std::size_t begin = 0, end = 0;
};

// skid_buffer.py: a queue of two whose ready and outputs are registers.
template <class T>
class SkidBuffer {
public:
    bool i_ready() const { return !full; }
    bool o_valid() const { return valid; }
    const T& front() const { return payload; }

    void clock(bool i_valid, const T& input, bool o_ready) {
        if (o_ready || !valid) {
            payload = full ? spare : input;
            valid = full || i_valid;
            full = false;
        } else if (!full) {
            full = i_valid;
            spare = input;
        }
    }

    bool is_full() const { return full; }
    const T& second() const { return spare; }
    void fill(const T& first, const T& second) {
        valid = full = true;
        payload = first;
        spare = second;
    }

    // Whether a cycle in which neither side can move changes nothing.
    bool is_stuck(bool i_valid) const { return valid && (full || !i_valid); }

private:
    bool valid = false, full = false;
    T payload{}, spare{};
};

// amaranth.lib.fifo.SyncFIFOBuffered, without its data: an entry can be read two cycles after it was written.
class BufferedFifo {
public:
    explicit BufferedFifo(int64_t depth) : inner_depth(depth - 1) {}

    bool w_ready() const { return inner_level != inner_depth; }
    bool r_ready() const { return readable; }
    bool is_settled() const { return readable || !inner_level; }  // nothing changes by itself

    void clock(bool w_enable, bool r_enable) {
        const bool writes = w_enable && w_ready(), refills = inner_level && (!readable || r_enable);
        readable = refills || (readable && !r_enable);
        inner_level += writes - refills;
    }

private:
    int64_t inner_depth, inner_level = 0;
    bool readable = false;
};

}  // namespace s2nn_engine
