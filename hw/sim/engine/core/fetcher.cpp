#include "fetcher.h"

namespace s2nn_engine {

bool Fetcher::requests() const {
    switch (state) {
        case DESCRIPTOR_:
        case CODEBOOK_:
        case INPUT_: return true;
        case PARAMS_: return free_params != 0;
        case INDEX_: return free_halves != 0 && !is_kept();
        default: return false;
    }
}

Request Fetcher::request() const {
    switch (state) {
        case DESCRIPTOR_: {
            const int64_t next = step + 1;
            return {config.image_address + config.descriptor_offset + DESCRIPTOR_BYTES * next, config.descriptor_beats,
                    {DESCRIPTOR, next}};
        }
        case CODEBOOK_:
            return {config.image_address + layer().codebook_offset, layer().codebook_beats, {CODEBOOK, step}};
        case PARAMS_:
            return {config.image_address + layer().params_offset +
                        tile * (config.lanes * PARAM_BYTES << layer().has_param_pairs()),
                    config.params_beats << layer().has_param_pairs(), {PARAMS, step}};
        case INDEX_:
            return {config.image_address + layer().index_offset + tile * layer().tile_beats * config.axi_bytes,
                    layer().tile_beats, {INDEX, step}};
        default: {
            const bool is_map = layer().opcode == LOAD_MAP;
            return {(is_map ? config.scratch_address : config.input_address) + layer().index_offset,
                    layer().tile_beats, {is_map ? MAP : INPUT, step}};
        }
    }
}

bool Fetcher::is_quiet() const {
    if (state == TAKEN) return descriptor_valid;
    return state == IDLE || (state == PARAMS_ && !requests()) || (state == INDEX_ && !requests() && !is_kept());
}

void Fetcher::clock(const Events& events, bool request_ready, const Owner* arrived) {
    const bool is_asked = requests() && request_ready;
    const bool uses_codebook = events.takes_tile && needs_codebook;
    const auto has_arrived = [&](Stream stream) { return arrived && arrived->stream == stream; };
    tiles_ready += has_arrived(INDEX) - (events.takes_tile && !keeps);
    codebooks_ready += has_arrived(CODEBOOK) - uses_codebook;
    free_halves += (events.releases && !keeps) - (is_asked && state == INDEX_);
    free_params += events.takes_params - (is_asked && state == PARAMS_);
    if (uses_codebook) needs_codebook = false;
    if (events.takes_descriptor) {
        needs_codebook = layer().codebook;
        keeps = is_kept();
    }
    walk(events, is_asked, has_arrived(DESCRIPTOR));
    if (events.takes_descriptor) descriptor_valid = false;
}

void Fetcher::walk(const Events& events, bool is_asked, bool descriptor_arrived) {
    switch (state) {
        case IDLE:
            if (events.start) state = DESCRIPTOR_;
            break;
        case DESCRIPTOR_:
            if (is_asked) state = ARRIVE;
            break;
        case ARRIVE:
            if (descriptor_arrived) {
                step++;
                state = CHECK;
            }
            break;
        case CHECK: state = BEGIN; break;
        case BEGIN:
            tile = 0;
            descriptor_valid = true;
            state = !layer().runs() ? TAKEN : layer().codebook ? CODEBOOK_ : PARAMS_;
            break;
        case CODEBOOK_:
            if (is_asked) state = PARAMS_;
            break;
        case PARAMS_:
            if (is_asked) state = INDEX_;
            break;
        case INDEX_:
            if (is_asked || is_kept()) state = tile++ == 0 ? TAKEN : NEXT;
            break;
        case TAKEN:  // the sequencer has begun this layer, so the one before is done
            if (!layer().runs()) tile = layer().tiles;
            if (!descriptor_valid) state = layer().is_load() ? INPUT_ : NEXT;
            break;
        case INPUT_:
            if (is_asked) state = NEXT;
            break;
        case NEXT: state = tile != layer().tiles ? PARAMS_ : layer().last ? IDLE : DESCRIPTOR_; break;
    }
}

}  // namespace s2nn_engine
