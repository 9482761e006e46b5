// The memory chip: open rows, power state and, for every command, the first cycle at which the constraint table allows
// it. Mirrors device.py; the controller asks before it issues, so nothing is checked twice here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace s2nn_dram {

// Values of standard.Command.
enum Command : int { ACT, PRE, PREA, RD, RDA, WR, WRA, REF, PDE, PDX, SRE, SRX, NUM_COMMANDS };

enum class Power { UP, DOWN, SELF_REFRESH };

// One constraint row; `preceding` and `following` are sets of commands, bit by Command.
struct Row {
    int64_t level;  // 0 bank, 1 bank group, 2 rank
    int64_t preceding;
    int64_t following;
    int64_t latency;  // cycles
    int64_t window;   // commands
};

constexpr int64_t CLOSED = -1;
constexpr int RANK_WIDE = -1;  // the bank of commands without one

class Device {
public:
    Device(int num_banks, int num_bank_groups, const Row* rows, int64_t num_rows);

    int64_t earliest_cycle(Command command, int bank) const;
    void issue(int64_t cycle, Command command, int bank, int64_t row);

    std::vector<int64_t> open_row;  // per bank, or CLOSED
    int num_open = 0;
    Power power = Power::UP;

private:
    using Ready = std::array<int64_t, NUM_COMMANDS>;

    struct Gap {
        int following;
        int64_t latency;
    };

    struct Window {
        std::vector<int64_t> history;  // cycles of the last `history.size()` commands, oldest at `next`
        std::size_t next = 0;
        int64_t seen = 0;
        std::vector<Gap> gaps;
    };

    static void push(Ready& ready, const std::vector<Gap>& gaps, int64_t cycle);
    void change_state(Command command, int bank, int64_t row);

    std::vector<int> group_of;  // by bank
    Ready rank_ready{};
    std::vector<Ready> group_ready, bank_ready;
    std::array<std::vector<Gap>, NUM_COMMANDS> gaps[3];  // by level and preceding command
    std::vector<Window> windows;
    std::array<std::vector<std::size_t>, NUM_COMMANDS> windows_of;  // by preceding command
};

}  // namespace s2nn_dram
