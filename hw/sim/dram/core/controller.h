// The memory controller of twin.py, rule for rule: that file is the specification and explains the policy.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "device.h"

namespace s2nn_dram {

constexpr int64_t UNKNOWN = -1;               // completion of a request whose column command is undecided
constexpr int64_t AS_SOON_AS_POSSIBLE = -1;   // arrival of a request that comes when its queue has room
constexpr int64_t FOREVER = int64_t{1} << 60;

// Field for field native._Parameters. Times in cycles.
struct Parameters {
    int64_t num_banks, num_bank_groups;
    int64_t read_latency, write_latency, n_bl, n_rfc, n_refi;
    int64_t read_queue_depth, write_queue_depth, write_high_watermark, write_low_watermark;
    int64_t row_hit_cap, page_limit, postponable;  // postponable: cycles
    int64_t power_down_limit, self_refresh_limit;
    int64_t record_trace;
};

enum State { PRECHARGED, ACTIVE, PRECHARGED_POWER_DOWN, ACTIVE_POWER_DOWN, IN_SELF_REFRESH, REFRESHING, NUM_STATES };

constexpr int NUM_OUTCOMES = 3;  // hit, miss, conflict

// Field for field native._Counters.
struct Counters {
    int64_t commands[NUM_COMMANDS];
    int64_t outcomes[NUM_OUTCOMES];
    int64_t state_cycles[NUM_STATES];
    int64_t read_latency_min, read_latency_max, read_latency_sum;
    int64_t last_column_command_cycle, finish_cycle;
};

struct BankCounters {
    int64_t commands[NUM_COMMANDS];
    int64_t outcomes[NUM_OUTCOMES];
};

struct CommandRecord {
    int64_t cycle, command, bank, row, column;
};

class Controller {
public:
    Controller(const Parameters& parameters, const Row* rows, int64_t num_rows);

    void submit(int64_t arrival, int bank, int64_t row, int64_t column, bool is_write);
    void advance(int64_t cycle);
    void drain();
    int64_t num_pending() const { return backlog.size() + reads.size + writes.size; }
    Counters counters() const;

    int64_t now = 0;
    std::vector<int64_t> completion;  // by request id
    std::vector<CommandRecord> trace;
    std::vector<BankCounters> banks;

private:
    struct Request {
        int64_t ident, arrival, row, column;
        int64_t blocker;  // id of the youngest older request for the same burst in the other queue, or -1
        int bank;
        bool is_write;
    };

    // The queued requests for one bank, and what the bank works for, kept until something about the bank changes.
    struct BankQueue {
        std::vector<Request> requests;  // oldest first
        bool is_stale = true;
        int chosen = -1;  // index in `requests`, or -1
        Command command = ACT;
        bool passes_older = false;
    };

    struct Queue {
        std::vector<BankQueue> banks;
        int64_t size = 0;
    };

    struct Choice {
        int64_t ready = FOREVER, priority = 0, order = 0;
        Command command = PRE;
        int bank = RANK_WIDE;
        const Request* request = nullptr;
        bool passes_older = false;

        bool before(const Choice& other) const {
            if (ready != other.ready) return ready < other.ready;
            if (priority != other.priority) return priority < other.priority;
            return order < other.order;
        }
    };

    int64_t step(int64_t cycle, int64_t until);
    int64_t admit(int64_t cycle, int64_t until);
    void choose_direction();
    void choose_request(BankQueue& queue, int bank) const;
    void consider_queue(int64_t cycle, Choice& best);
    void consider_page_policy(int64_t cycle, Choice& best);
    void consider_power_down(int64_t cycle, Choice& best);
    int64_t issue_rank(Command command, int64_t cycle, int64_t until);
    void act_on(const Choice& choice);
    void issue(int64_t cycle, Command command, int bank, int64_t row, int64_t column);
    void complete(int64_t cycle, const Request& request);
    bool is_blocked(const Request& request) const {
        return request.blocker >= 0 && completion[request.blocker] == UNKNOWN;
    }
    bool oldest_is_blocked(const Queue& queue) const;

    Parameters parameters;
    Device device;
    std::deque<Request> backlog;
    Queue reads, writes;
    bool is_writing = false;
    int64_t refresh_due, refresh_end = 0;
    int64_t idle_since = 0;
    std::vector<int64_t> last_use, passed;
    std::vector<int> outcome;
    Counters totals{};
    State state = PRECHARGED;
    int64_t state_since = 0;
};

}  // namespace s2nn_dram
