// The functions that native.py calls, in the simulator's process. No argument is checked here: axi_memory.py did that.
#include <vector>

#include "axi_memory.h"

using s2nn_axi::Memory;
using s2nn_axi::Parameters;
using s2nn_axi::Region;
using s2nn_axi::Traffic;

extern "C" {

Memory* s2nn_axi_create_dram(const Parameters* parameters, uint8_t* data, s2nn_dram::Controller* controller,
                             const s2nn_dram::AddressMap* map, int64_t t_ck_ps) {
    return new Memory(*parameters, data, std::make_unique<s2nn_axi::DramColumns>(*controller, *map, t_ck_ps));
}

Memory* s2nn_axi_create_fixed(const Parameters* parameters, uint8_t* data, int64_t column_ps) {
    const int64_t column_bytes = parameters->data_bits / 8;
    return new Memory(*parameters, data, std::make_unique<s2nn_axi::FixedColumns>(column_bytes, column_ps));
}

void s2nn_axi_attach(Memory* memory) { s2nn_axi::attached = memory; }

void s2nn_axi_destroy(Memory* memory) {
    if (s2nn_axi::attached == memory) s2nn_axi::attached = nullptr;
    delete memory;
}

void s2nn_axi_set_regions(Memory* memory, int64_t count, const int64_t* starts, const int64_t* ends) {
    memory->regions.resize(1);
    for (int64_t i = 0; i < count; i++) memory->regions.push_back({starts[i], ends[i]});
}

void s2nn_axi_set_faults(Memory* memory, int64_t count, const s2nn_axi::Fault* faults) {
    memory->faults.assign(faults, faults + count);
}

void s2nn_axi_stall_at_random(Memory* memory, int64_t channel, uint64_t seed, uint64_t threshold) {
    memory->stalls[channel].randomise(seed, channel, threshold);
}

void s2nn_axi_stall_as_listed(Memory* memory, int64_t channel, int64_t count, const uint8_t* pattern) {
    memory->stalls[channel].follow({pattern, pattern + count});
}

void s2nn_axi_traffic(const Memory* memory, Traffic* out) {
    for (const Region& region : memory->regions) *out++ = region.traffic;
}

int64_t s2nn_axi_origin_ps(const Memory* memory) { return memory->origin_ps; }

const char* s2nn_axi_broken_rule(const Memory* memory) { return memory->violation.rule.c_str(); }
const char* s2nn_axi_broken_value(const Memory* memory) { return memory->violation.value.c_str(); }
const char* s2nn_axi_broken_field(const Memory* memory) { return memory->violation.field.c_str(); }

}  // extern "C"
