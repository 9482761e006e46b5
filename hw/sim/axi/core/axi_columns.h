// What lies behind the bus and answers when a column's data are there: the DRAM, or a fixed time.
//
// Times are picoseconds since the memory's first edge in reset. A column is an aligned piece of `column_bytes` bytes.
#pragma once

#include <cstdint>

#include "address.h"
#include "controller.h"

namespace s2nn_axi {

using s2nn_dram::FOREVER;

class Columns {
public:
    explicit Columns(int64_t column_bytes) : column_bytes(column_bytes) {}
    virtual ~Columns() = default;

    // It is `now_ps`; called with times that do not decrease.
    virtual void advance(int64_t now_ps) = 0;
    // Begin to read or write the column at byte `offset`; returns a ticket.
    virtual int64_t submit(int64_t offset, bool is_write) = 0;
    // When the column of a ticket is done, FOREVER while that is unknown.
    virtual int64_t done_ps(int64_t ticket) const = 0;

    const int64_t column_bytes;
};

// The DRAM model. Its controller belongs to the caller; cycle 0 is the memory's first edge in reset.
class DramColumns final : public Columns {
public:
    DramColumns(s2nn_dram::Controller& controller, const s2nn_dram::AddressMap& map, int64_t t_ck_ps)
        : Columns(map.burst_bytes), controller(controller), map(map), t_ck_ps(t_ck_ps) {}

    // The DRAM cycle is the first that begins at or after `now_ps`.
    void advance(int64_t now_ps) override { controller.advance((now_ps + t_ck_ps - 1) / t_ck_ps); }

    int64_t submit(int64_t offset, bool is_write) override {
        const s2nn_dram::Location place = map.locate(offset);
        const auto ident = static_cast<int64_t>(controller.completion.size());
        controller.submit(controller.now, place.bank, place.row, place.column, is_write);
        return ident;
    }

    int64_t done_ps(int64_t ticket) const override {
        const int64_t cycle = controller.completion[ticket];
        return cycle == s2nn_dram::UNKNOWN ? FOREVER : cycle * t_ck_ps;
    }

private:
    s2nn_dram::Controller& controller;
    const s2nn_dram::AddressMap map;
    const int64_t t_ck_ps;
};

// No DRAM: every column is done a fixed time after it was asked for. The ticket is that moment.
class FixedColumns final : public Columns {
public:
    FixedColumns(int64_t column_bytes, int64_t column_ps) : Columns(column_bytes), column_ps(column_ps) {}

    void advance(int64_t now) override { now_ps = now; }
    int64_t submit(int64_t, bool) override { return now_ps + column_ps; }
    int64_t done_ps(int64_t ticket) const override { return ticket; }

private:
    const int64_t column_ps;
    int64_t now_ps = 0;
};

}  // namespace s2nn_axi
