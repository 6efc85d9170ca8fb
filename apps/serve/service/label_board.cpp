#include "apps/serve/service/label_board.h"

#include <utility>

namespace yeoul::serve {

std::shared_ptr<const Labels> LabelBoard::labels() const {
    const std::lock_guard lock(mutex_);
    return labels_;
}

bool LabelBoard::reserve() {
    const std::lock_guard lock(mutex_);
    return !std::exchange(reserved_, true);
}

void LabelBoard::replace(PhotoEngine& engine, Labels labels) {
    auto made = std::make_shared<const Labels>(std::move(labels));
    try {
        engine.set_labels(*made);
    } catch (...) {
        const std::lock_guard lock(mutex_);
        reserved_ = false;
        throw;
    }
    const std::lock_guard lock(mutex_);
    labels_ = std::move(made);
    reserved_ = false;
}

} // namespace yeoul::serve
