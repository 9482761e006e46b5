// The functions that axi_memory.sv imports. At each clock edge it shows the offers of the master, then calls
// s2nn_axi_reset or s2nn_axi_clock, then s2nn_axi_read_data if there is another beat on R.
#include <svdpi.h>

#include <cstring>

#include "axi_memory.h"

using s2nn_axi::attached;
using s2nn_axi::Channel;
using s2nn_axi::Outputs;
using s2nn_axi::Payload;

namespace {

constexpr int WORD_BITS = 32;  // of svBitVecVal

// Field for field `answer_t` of axi_memory.sv, from the lowest bit up; identifiers have 16 bits.
long long answer() {
    if (!attached) return 0;
    const Outputs& outputs = attached->outputs();
    long long bits = 0;
    int position = 0;
    const auto put = [&](long long value, int width) { bits |= value << position, position += width; };
    put(attached->is_busy(), 1);
    put(static_cast<bool>(attached->violation), 1);
    put(attached->has_new_beat(), 1);
    put(outputs.arready, 1);
    put(outputs.awready, 1);
    put(outputs.wready, 1);
    put(outputs.rvalid, 1);
    put(outputs.rlast, 1);
    put(outputs.rresp, 2);
    put(outputs.bvalid, 1);
    put(outputs.bresp, 2);
    put(outputs.rid, 16);
    put(outputs.bid, 16);
    return bits;
}

void add_vector(Payload& payload, const svBitVecVal* vector, int bits) {
    for (int low = 0; low < bits; low += 2 * WORD_BITS) {
        const svBitVecVal* words = vector + low / WORD_BITS;
        const uint64_t high = low + WORD_BITS < bits ? words[1] : 0;
        payload.add(high << WORD_BITS | words[0]);
    }
}

}  // namespace

extern "C" {

void s2nn_axi_offer_address(svBit is_write, long long address, int length, int size, int burst, int ident) {
    if (!attached) return;
    Payload payload;
    for (long long word : {address, static_cast<long long>(length), static_cast<long long>(size),
                           static_cast<long long>(burst), static_cast<long long>(ident)})
        payload.add(static_cast<uint64_t>(word));
    attached->offer(is_write ? s2nn_axi::AW : s2nn_axi::AR, payload);
}

void s2nn_axi_offer_data(int data_bits, const svBitVecVal* data, const svBitVecVal* strobe, svBit last) {
    if (!attached) return;
    Payload payload;
    add_vector(payload, data, data_bits);
    add_vector(payload, strobe, data_bits / 8);
    payload.add(last);
    attached->offer(s2nn_axi::W, payload);
}

long long s2nn_axi_reset(long long time_ps, int data_bits) {
    if (attached) attached->reset(time_ps, data_bits);
    return answer();
}

long long s2nn_axi_clock(long long time_ps, svBit rready, svBit bready) {
    if (attached) attached->clock(time_ps, rready, bready);
    return answer();
}

void s2nn_axi_read_data(int data_bits, svBitVecVal* data) {
    // Little-endian, as the bytes are: the machine must be, too.
    data[(data_bits - 1) / WORD_BITS] = 0;
    std::memcpy(data, attached->beat_data(), data_bits / 8);
}

}  // extern "C"
