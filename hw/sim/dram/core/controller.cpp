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
      outcome(parameters.num_banks, HIT),
      hits(parameters.num_banks),
      misses(parameters.num_banks, nullptr),
      wanted(parameters.num_banks, 0) {}

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
    const bool is_idle = reads.empty() && writes.empty();
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
        if (static_cast<int64_t>(queue.size()) == depth) return until;
        if (request.arrival == AS_SOON_AS_POSSIBLE) request.arrival = cycle;
        for (auto older = other.rbegin(); older != other.rend(); ++older)
            if (older->bank == request.bank && older->row == request.row && older->column == request.column) {
                request.blocker = older->ident;
                break;
            }
        queue.push_back(request);
        backlog.pop_front();
    }
    return backlog.empty() ? until : std::min(until, backlog.front().arrival);
}

void Controller::choose_direction() {
    const bool read_is_blocked = !reads.empty() && is_blocked(reads.front());
    const int64_t num_writes = writes.size();
    if (writes.empty() || is_blocked(writes.front()))
        is_writing = false;
    else if (reads.empty() || read_is_blocked || num_writes >= parameters.write_high_watermark)
        is_writing = true;
    else if (num_writes <= parameters.write_low_watermark)
        is_writing = false;
}

void Controller::consider_queue(int64_t cycle, Choice& best) {
    choose_direction();
    touched.clear();
    auto first_of_bank = [&](int bank) {
        if (!misses[bank] && !hits[bank].request) touched.push_back(bank);
    };
    for (const Request& request : is_writing ? writes : reads) {
        if (is_blocked(request)) continue;
        const int bank = request.bank;
        if (device.open_row[bank] != request.row) {
            first_of_bank(bank);
            if (!misses[bank]) misses[bank] = &request;
        } else if (!hits[bank].request && !(misses[bank] && passed[bank] >= parameters.row_hit_cap)) {
            first_of_bank(bank);
            hits[bank].request = &request;
            hits[bank].passes_older = misses[bank] != nullptr;
        }
    }
    for (int bank : touched) {
        Choice choice;
        choice.bank = bank;
        if (hits[bank].request) {
            choice.request = hits[bank].request;
            choice.passes_older = hits[bank].passes_older;
            choice.priority = COLUMN_FIRST;
            choice.command = is_writing ? WR : RD;
        } else {
            choice.request = misses[bank];
            choice.priority = ROW_NEXT;
            choice.command = device.open_row[bank] == CLOSED ? ACT : PRE;
        }
        choice.ready = std::max(cycle, device.earliest_cycle(choice.command, bank));
        choice.order = choice.request->ident;
        if (choice.before(best)) best = choice;
        hits[bank].request = nullptr;
        misses[bank] = nullptr;
    }
}

void Controller::consider_page_policy(int64_t cycle, Choice& best) {
    if (parameters.page_limit >= FOREVER || !device.num_open) return;
    std::fill(wanted.begin(), wanted.end(), 0);
    for (const Queue* queue : {&reads, &writes})
        for (const Request& request : *queue)
            if (device.open_row[request.bank] == request.row) wanted[request.bank] = 1;
    for (int bank = 0; bank < parameters.num_banks; bank++) {
        if (device.open_row[bank] == CLOSED || wanted[bank]) continue;
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
        last_use[bank] = choice.ready;
    } else {
        issue(choice.ready, choice.command, bank, choice.request->row, choice.request->column);
        passed[bank] += choice.passes_older;
        complete(choice.ready, *choice.request);
    }
}

void Controller::issue(int64_t cycle, Command command, int bank, int64_t row, int64_t column) {
    device.issue(cycle, command, bank, row);
    totals.commands[command]++;
    if (bank != RANK_WIDE) banks[bank].commands[command]++;
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
    queue.erase(queue.begin() + (&request - queue.data()));
}

}  // namespace s2nn_dram
