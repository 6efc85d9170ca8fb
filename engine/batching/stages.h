// What the scheduler drives: the way of a photo through decoding and the device.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <yeoul/engine.h>

namespace yeoul {

/// What a batch gave: on the host, until the next `Stages::wait` of the same stream.
struct BatchOutput {
    const float* embeds = nullptr; // (batch, dim)
    const float* norms = nullptr;  // (batch); not finite when the row is not
    float compute_ms = 0;          // of the whole forward pass
    /// Of a batch that was launched with tags: for each row `kept` labels, likeliest first, by
    /// their place in `labels`; -1 throughout for a row without length.
    std::shared_ptr<const std::vector<std::string>> labels;
    const float* probabilities = nullptr;
    const int32_t* indices = nullptr;
    int kept = 0;
};

/// Every call may throw `Error`; `device_lost` ends the scheduler.
class Stages {
public:
    virtual ~Stages() = default;

    /// On a decoding thread, several at once for different slots: brings `photo` on its way to
    /// `slot`, which is free. Fills format, size and times of `result`. Returns a warning, or
    /// nothing. What it throws is this photo's error.
    virtual std::string prepare(const Photo& photo, int slot, Result& result) = 0;

    /// On any thread of the scheduler, one at a time: enqueues the pass for prepared `slots` in
    /// `bucket` of the cost table; `tags`: the photos are tagged in the same pass. Does not wait
    /// for the pass.
    virtual void launch(int stream, int bucket, std::span<const int> slots, bool tags) = 0;

    /// On the thread of `stream`: waits for the oldest batch launched there and not waited for.
    virtual BatchOutput wait(int stream) = 0;
};

} // namespace yeoul
