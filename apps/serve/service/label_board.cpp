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

void LabelBoard::give_up() noexcept {
    const std::lock_guard lock(mutex_);
    reserved_ = false;
}

void LabelBoard::replace(PhotoEngine& engine, const Labels& labels) {
    std::shared_ptr<const Labels> made;
    try {
        made = std::make_shared<const Labels>(labels);
        engine.set_labels(*made);
    } catch (...) {
        give_up();
        throw;
    }
    const std::lock_guard lock(mutex_);
    labels_ = std::move(made);
    reserved_ = false;
}

} // namespace yeoul::serve
