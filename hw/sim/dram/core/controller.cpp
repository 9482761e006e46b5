#include "controller.h"

#include <algorithm>

namespace s2nn_dram {

namespace {

enum Outcome { HIT, MISS, CONFLICT };
enum Priority { COLUMN_FIRST, ROW_NEXT, PAGE_POLICY, POWER_DOWN };

State state_of(const Device& device) {
    if (device.power == Power::SELF_REFRESH) return IN_SELF_REFRESH;
    if (device.power == Power::DOWN) return device.num_open ? ACTIVE_POWER_DOWN : PRECHARGED_POWER_DOWN;
    return device.num_open ? ACTIVE : PRECHARGED;
}

}  // namespace

Controller::Controller(const Parameters& parameters, const Row* rows, int64_t num_rows)
    : banks(parameters.num_banks),
      parameters(parameters),
      device(parameters.num_banks, parameters.num_bank_groups, rows, num_rows),
      refresh_due(parameters.n_refi),
      last_use(parameters.num_banks, 0),
      passed(parameters.num_banks, 0),
      outcome(parameters.num_banks, HIT) {
    reads.banks.resize(parameters.num_banks);
    writes.banks.resize(parameters.num_banks);
}

void Controller::submit(int64_t arrival, int bank, int64_t row, int64_t column, bool is_write) {
    backlog.push_back({static_cast<int64_t>(completion.size()), arrival, row, column, -1, bank, is_write});
    completion.push_back(UNKNOWN);
}

void Controller::advance(int64_t cycle) {
    int64_t at = now;
    while (at < cycle) at = step(at, cycle);
    now = std::max(now, cycle);
}

void Controller::drain() {
    int64_t at = now;
    while (num_pending()) at = step(at, FOREVER);
    now = std::max(now, at);
    advance(totals.finish_cycle);
}

Counters Controller::counters() const {
    Counters result = totals;
    result.state_cycles[state] += now - state_since;
    int64_t refreshing = totals.commands[REF] * parameters.n_rfc - std::max<int64_t>(0, refresh_end - now);
    result.state_cycles[PRECHARGED] -= refreshing;
    result.state_cycles[REFRESHING] = refreshing;
    return result;
}

int64_t Controller::step(int64_t cycle, int64_t until) {
    until = admit(cycle, until);
    const bool is_idle = !reads.size && !writes.size;
    const int64_t self_refresh_at = is_idle ? idle_since + parameters.self_refresh_limit : FOREVER;
    if (device.power == Power::SELF_REFRESH) return is_idle ? until : issue_rank(SRX, cycle, until);
    if (device.power == Power::DOWN) {
        const int64_t wake_at = is_idle ? std::min(refresh_due, self_refresh_at) : cycle;
        return issue_rank(PDX, std::max(cycle, wake_at), until);
    }
    const int64_t refresh_at = refresh_due + (is_idle ? 0 : parameters.postponable);
    if (cycle >= refresh_at) return issue_rank(device.num_open ? PREA : REF, cycle, until);
    if (cycle >= self_refresh_at) return issue_rank(device.num_open ? PREA : SRE, cycle, until);
    until = std::min({until, refresh_at, self_refresh_at});
    Choice best;
    consider_page_policy(cycle, best);
    if (is_idle)
        consider_power_down(cycle, best);
    else
        consider_queue(cycle, best);
    if (best.ready >= until) return until;
    act_on(best);
    return best.ready + 1;
}

int64_t Controller::admit(int64_t cycle, int64_t until) {
    while (!backlog.empty() && backlog.front().arrival <= cycle) {
        Request& request = backlog.front();
        Queue& queue = request.is_write ? writes : reads;
        const Queue& other = request.is_write ? reads : writes;
        const int64_t depth = request.is_write ? parameters.write_queue_depth : parameters.read_queue_depth;
        if (queue.size == depth) return until;
        if (request.arrival == AS_SOON_AS_POSSIBLE) request.arrival = cycle;
        for (const Request& older : other.banks[request.bank].requests)
            if (older.row == request.row && older.column == request.column) request.blocker = older.ident;
        queue.banks[request.bank].requests.push_back(request);
        queue.banks[request.bank].is_stale = true;
        queue.size++;
        backlog.pop_front();
    }
    return backlog.empty() ? until : std::min(until, backlog.front().arrival);
}

bool Controller::oldest_is_blocked(const Queue& queue) const {
    const Request* oldest = nullptr;
    for (const BankQueue& bank : queue.banks)
        if (!bank.requests.empty() && (!oldest || bank.requests.front().ident < oldest->ident))
            oldest = &bank.requests.front();
    return oldest && is_blocked(*oldest);
}

void Controller::choose_direction() {
    if (!writes.size || oldest_is_blocked(writes))
        is_writing = false;
    else if (!reads.size || oldest_is_blocked(reads) || writes.size >= parameters.write_high_watermark)
        is_writing = true;
    else if (writes.size <= parameters.write_low_watermark)
        is_writing = false;
}

void Controller::choose_request(BankQueue& queue, int bank) const {
    const int64_t open_row = device.open_row[bank];
    const int num_requests = static_cast<int>(queue.requests.size());
    int miss = -1;
    queue.is_stale = false;
    for (int index = 0; index < num_requests; index++) {
        const Request& request = queue.requests[index];
        if (is_blocked(request)) continue;
        if (request.row != open_row) {
            if (miss < 0) miss = index;
        } else if (miss < 0 || passed[bank] < parameters.row_hit_cap) {
            queue.chosen = index;
            queue.command = request.is_write ? WR : RD;
            queue.passes_older = miss >= 0;
            return;
        }
    }
    queue.chosen = miss;
    queue.command = open_row == CLOSED ? ACT : PRE;
    queue.passes_older = false;
}

void Controller::consider_queue(int64_t cycle, Choice& best) {
    choose_direction();
    Queue& queue = is_writing ? writes : reads;
    for (int bank = 0; bank < parameters.num_banks; bank++) {
        BankQueue& of_bank = queue.banks[bank];
        if (of_bank.requests.empty()) continue;
        if (of_bank.is_stale) choose_request(of_bank, bank);
        if (of_bank.chosen < 0) continue;
        const int64_t ready = std::max(cycle, device.earliest_cycle(of_bank.command, bank));
        if (ready > best.ready) continue;
        Choice choice;
        choice.ready = ready;
        choice.priority = of_bank.command == ACT || of_bank.command == PRE ? ROW_NEXT : COLUMN_FIRST;
        choice.request = &of_bank.requests[of_bank.chosen];
        choice.order = choice.request->ident;
        choice.command = of_bank.command;
        choice.bank = bank;
        choice.passes_older = of_bank.passes_older;
        if (choice.before(best)) best = choice;
    }
}

void Controller::consider_page_policy(int64_t cycle, Choice& best) {
    if (parameters.page_limit >= FOREVER || !device.num_open) return;
    for (int bank = 0; bank < parameters.num_banks; bank++) {
        if (device.open_row[bank] == CLOSED) continue;
        auto wants_open_row = [&](const Request& request) { return request.row == device.open_row[bank]; };
        auto is_wanted_in = [&](const Queue& queue) {
            const std::vector<Request>& requests = queue.banks[bank].requests;
            return std::any_of(requests.begin(), requests.end(), wants_open_row);
        };
        if (is_wanted_in(reads) || is_wanted_in(writes)) continue;
        Choice choice;
        choice.ready = std::max({cycle, last_use[bank] + parameters.page_limit, device.earliest_cycle(PRE, bank)});
        choice.priority = PAGE_POLICY;
        choice.order = choice.bank = bank;
        if (choice.before(best)) best = choice;
    }
}

void Controller::consider_power_down(int64_t cycle, Choice& best) {
    Choice choice;
    choice.ready = std::max({cycle, idle_since + parameters.power_down_limit, refresh_end,
                             device.earliest_cycle(PDE, RANK_WIDE)});
    choice.priority = POWER_DOWN;
    choice.command = PDE;
    if (choice.before(best)) best = choice;
}

int64_t Controller::issue_rank(Command command, int64_t cycle, int64_t until) {
    const int64_t at = std::max(cycle, device.earliest_cycle(command, RANK_WIDE));
    if (at >= until) return until;
    issue(at, command, RANK_WIDE, CLOSED, -1);
    if (command == REF) {
        refresh_due += parameters.n_refi;
        refresh_end = at + parameters.n_rfc;
    } else if (command == SRX) {
        refresh_due = at;
    }
    return at + 1;
}

void Controller::act_on(const Choice& choice) {
    const int bank = choice.bank;
    if (!choice.request) {  // page policy or power-down
        issue(choice.ready, choice.command, bank, CLOSED, -1);
    } else if (choice.command == PRE) {
        issue(choice.ready, PRE, bank, CLOSED, -1);
        outcome[bank] = CONFLICT;
    } else if (choice.command == ACT) {
        issue(choice.ready, ACT, bank, choice.request->row, -1);
        outcome[bank] = std::max<int>(outcome[bank], MISS);
        passed[bank] = 0;
    } else {
        issue(choice.ready, choice.command, bank, choice.request->row, choice.request->column);
        passed[bank] += choice.passes_older;
        complete(choice.ready, *choice.request);
    }
}

void Controller::issue(int64_t cycle, Command command, int bank, int64_t row, int64_t column) {
    device.issue(cycle, command, bank, row);
    totals.commands[command]++;
    if (bank != RANK_WIDE) {
        banks[bank].commands[command]++;
        reads.banks[bank].is_stale = writes.banks[bank].is_stale = true;
    } else if (command == PREA) {
        for (Queue* queue : {&reads, &writes})
            for (BankQueue& of_bank : queue->banks) of_bank.is_stale = true;
    }
    if (parameters.record_trace) trace.push_back({cycle, command, bank, row, column});
    const State next = state_of(device);
    if (next != state) {
        totals.state_cycles[state] += cycle - state_since;
        state = next;
        state_since = cycle;
    }
}

void Controller::complete(int64_t cycle, const Request& request) {
    const int bank = request.bank;
    const int64_t latency = request.is_write ? parameters.write_latency : parameters.read_latency;
    const int64_t end = cycle + latency + parameters.n_bl;
    completion[request.ident] = end;
    totals.outcomes[outcome[bank]]++;
    banks[bank].outcomes[outcome[bank]]++;
    outcome[bank] = HIT;
    last_use[bank] = cycle;
    idle_since = cycle + 1;
    totals.last_column_command_cycle = cycle;
    totals.finish_cycle = std::max(totals.finish_cycle, end);
    if (!request.is_write) {
        const int64_t waited = end - request.arrival;
        const bool is_first = totals.commands[RD] == 1;
        totals.read_latency_min = is_first ? waited : std::min(totals.read_latency_min, waited);
        totals.read_latency_max = std::max(totals.read_latency_max, waited);
        totals.read_latency_sum += waited;
    }
    Queue& queue = request.is_write ? writes : reads;
    std::vector<Request>& requests = queue.banks[bank].requests;
    requests.erase(requests.begin() + (&request - requests.data()));
    queue.size--;
}

}  // namespace s2nn_dram
