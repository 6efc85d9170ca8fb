// What a lane asks of its device's memory: the same calls whether the memory is there or planned.
#pragma once

#include "engine/models/model.h"

namespace yeoul {

struct LaneShape {
    int photos = 0; // in the largest batch
    int dim = 0;    // of the vectors
    size_t slot_bytes = 0, arena_bytes = 0;

    static LaneShape of(const VisionModel& model, int photos) {
        return {.photos = photos,
                .dim = model.dim(),
                .slot_bytes = static_cast<size_t>(model.image_height()) * model.image_width() * 3,
                .arena_bytes = model.activation_bytes(photos)};
    }
    size_t slots_bytes() const { return slot_bytes * photos; }
    size_t index_bytes() const { return sizeof(int32_t) * photos; }
    size_t embeds_bytes() const { return sizeof(float) * photos * dim; }
    size_t norms_bytes() const { return sizeof(float) * photos; }
    size_t staging_bytes() const {
        return slots_bytes() + index_bytes() + embeds_bytes() + norms_bytes();
    }
};

struct LaneMemory {
    LaneMemory(Device& memory, const LaneShape& shape)
        : arena(make_device_memory(memory, shape.arena_bytes)),
          slots(make_device_memory(memory, shape.slots_bytes())),
          index(make_device_memory(memory, shape.index_bytes())),
          embeds(make_device_memory(memory, shape.embeds_bytes())),
          norms(make_device_memory(memory, shape.norms_bytes())),
          host_slots(make_pinned_memory(memory, shape.slots_bytes())),
          host_index(make_pinned_memory(memory, shape.index_bytes())),
          host_embeds(make_pinned_memory(memory, shape.embeds_bytes())),
          host_norms(make_pinned_memory(memory, shape.norms_bytes())) {}

    DeviceMemory arena, slots, index, embeds, norms;
    PinnedMemory host_slots, host_index, host_embeds, host_norms;
};

} // namespace yeoul
