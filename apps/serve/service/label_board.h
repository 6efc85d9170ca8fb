// The labels in force, as clients see them.
#pragma once

#include <memory>
#include <mutex>

#include <yeoul/engine.h>

#include "apps/serve/service/photo_engine.h"

namespace yeoul::serve {

/// Safe to use from several threads.
class LabelBoard {
public:
    /// nullptr before the first `replace`.
    std::shared_ptr<const Labels> labels() const;

    /// One replaces at a time: false while another does. Who gets true calls `replace` or, when
    /// that cannot be, `give_up`.
    bool reserve();
    void give_up() noexcept;
    /// Sets the labels of `engine` and shows them. Blocks. Throws as `Engine::set_labels`; the old
    /// ones are in force then.
    void replace(PhotoEngine& engine, const Labels& labels);

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Labels> labels_;
    bool reserved_ = false;
};

} // namespace yeoul::serve
