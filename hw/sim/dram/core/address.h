// Where a byte lives: `AddressMap` of address.py in C++, for a caller that does not come through Python.
#pragma once

#include <cstdint>

namespace s2nn_dram {

struct Location {
    int bank;
    int64_t row, column;
};

// Field for field native.AddressFields. A shift and a mask per field of an address.
struct AddressMap {
    int64_t group_shift, group_mask;
    int64_t bank_shift, bank_mask;  // within its group
    int64_t column_shift, column_mask;
    int64_t row_shift, row_mask;
    int64_t bank_bits;     // of a bank's number within its group
    int64_t column_bits;   // of a column within a burst
    int64_t xor_mask;      // bits of the row that are added to the bank; 0 in mappings without "-xor"
    int64_t burst_bytes;

    Location locate(int64_t address) const {
        auto field = [address](int64_t shift, int64_t mask) { return (address >> shift) & mask; };
        const int64_t row = field(row_shift, row_mask);
        const int64_t bank = field(group_shift, group_mask) << bank_bits | field(bank_shift, bank_mask);
        return {static_cast<int>(bank ^ (row & xor_mask)), row, field(column_shift, column_mask) << column_bits};
    }
};

}  // namespace s2nn_dram
