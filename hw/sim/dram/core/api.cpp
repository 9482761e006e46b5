// The C interface of the core, for native.py. No argument is checked here: model.py did that.
#include <algorithm>

#include "controller.h"

using s2nn_dram::BankCounters;
using s2nn_dram::CommandRecord;
using s2nn_dram::Controller;
using s2nn_dram::Counters;
using s2nn_dram::Parameters;
using s2nn_dram::Row;

extern "C" {

Controller* s2nn_dram_create(const Parameters* parameters, const Row* rows, int64_t num_rows) {
    return new Controller(*parameters, rows, num_rows);
}

void s2nn_dram_destroy(Controller* controller) { delete controller; }

void s2nn_dram_submit(Controller* controller, int64_t arrival, int64_t bank, int64_t row, int64_t column,
                      int64_t is_write) {
    controller->submit(arrival, static_cast<int>(bank), row, column, is_write != 0);
}

void s2nn_dram_submit_all(Controller* controller, int64_t count, const int64_t* arrival, const int64_t* bank,
                          const int64_t* row, const int64_t* column, const uint8_t* is_write) {
    for (int64_t i = 0; i < count; i++)
        controller->submit(arrival[i], static_cast<int>(bank[i]), row[i], column[i], is_write[i] != 0);
}

void s2nn_dram_advance(Controller* controller, int64_t cycle) { controller->advance(cycle); }

void s2nn_dram_drain(Controller* controller) { controller->drain(); }

int64_t s2nn_dram_now(const Controller* controller) { return controller->now; }

int64_t s2nn_dram_num_pending(const Controller* controller) { return controller->num_pending(); }

int64_t s2nn_dram_num_requests(const Controller* controller) { return controller->completion.size(); }

int64_t s2nn_dram_completion(const Controller* controller, int64_t ident) { return controller->completion[ident]; }

void s2nn_dram_completions(const Controller* controller, int64_t* out) {
    std::copy(controller->completion.begin(), controller->completion.end(), out);
}

int64_t s2nn_dram_num_commands(const Controller* controller) { return controller->trace.size(); }

void s2nn_dram_commands(const Controller* controller, int64_t first, CommandRecord* out) {
    std::copy(controller->trace.begin() + first, controller->trace.end(), out);
}

void s2nn_dram_counters(const Controller* controller, Counters* out) { *out = controller->counters(); }

void s2nn_dram_bank_counters(const Controller* controller, BankCounters* out) {
    std::copy(controller->banks.begin(), controller->banks.end(), out);
}

}  // extern "C"
