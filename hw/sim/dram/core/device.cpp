#include "device.h"

#include <algorithm>

namespace s2nn_dram {

Device::Device(int num_banks, int num_bank_groups, const Row* rows, int64_t num_rows)
    : open_row(num_banks, CLOSED),
      group_of(num_banks),
      group_ready(num_bank_groups),
      bank_ready(num_banks) {
    for (int bank = 0; bank < num_banks; bank++) group_of[bank] = bank / (num_banks / num_bank_groups);
    for (int64_t index = 0; index < num_rows; index++) {
        const Row& row = rows[index];
        std::vector<Gap> following;
        for (int command = 0; command < NUM_COMMANDS; command++)
            if (row.following >> command & 1) following.push_back({command, row.latency});
        for (int command = 0; command < NUM_COMMANDS; command++) {
            if (!(row.preceding >> command & 1)) continue;
            if (row.window > 1)
                windows_of[command].push_back(windows.size());
            else
                gaps[row.level][command].insert(gaps[row.level][command].end(), following.begin(), following.end());
        }
        if (row.window > 1) {
            Window window;
            window.history.assign(row.window, 0);
            window.gaps = following;
            windows.push_back(window);
        }
    }
}

int64_t Device::earliest_cycle(Command command, int bank) const {
    int64_t ready = rank_ready[command];
    if (bank == RANK_WIDE) return ready;
    return std::max({ready, group_ready[group_of[bank]][command], bank_ready[bank][command]});
}

void Device::issue(int64_t cycle, Command command, int bank, int64_t row) {
    change_state(command, bank, row);
    push(rank_ready, gaps[2][command], cycle);
    if (bank != RANK_WIDE) {
        push(group_ready[group_of[bank]], gaps[1][command], cycle);
        push(bank_ready[bank], gaps[0][command], cycle);
    }
    for (std::size_t index : windows_of[command]) {
        Window& window = windows[index];
        window.history[window.next] = cycle;
        window.next = (window.next + 1) % window.history.size();
        window.seen++;
        if (window.seen >= static_cast<int64_t>(window.history.size()))
            push(rank_ready, window.gaps, window.history[window.next]);
    }
}

void Device::push(Ready& ready, const std::vector<Gap>& gaps, int64_t cycle) {
    for (const Gap& gap : gaps) ready[gap.following] = std::max(ready[gap.following], cycle + gap.latency);
}

void Device::change_state(Command command, int bank, int64_t row) {
    switch (command) {
        case ACT:
            open_row[bank] = row;
            num_open++;
            break;
        case PRE:
            if (open_row[bank] != CLOSED) num_open--;
            open_row[bank] = CLOSED;
            break;
        case PREA:
            std::fill(open_row.begin(), open_row.end(), CLOSED);
            num_open = 0;
            break;
        case PDE: power = Power::DOWN; break;
        case SRE: power = Power::SELF_REFRESH; break;
        case PDX:
        case SRX: power = Power::UP; break;
        default: break;
    }
}

}  // namespace s2nn_dram
