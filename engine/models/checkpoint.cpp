#include "engine/models/checkpoint.h"

#include <algorithm>

#include <yeoul/error.h>

#include "loader/nearest_name.h"

namespace yeoul {
namespace {

std::string join(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names)
        text += (text.empty() ? "'" : ", '") + name + "'";
    return text;
}

std::string shape_text(const std::vector<int64_t>& shape) {
    std::string text = "(";
    for (size_t axis = 0; axis < shape.size(); ++axis)
        text += (axis ? ", " : "") + std::to_string(shape[axis]);
    return text + ")";
}

} // namespace

View Checkpoint::tensor(const std::string& name, std::initializer_list<int> shape) {
    const loader::TensorInfo* info = file_.find(name);
    if (!info) {
        std::vector<std::string> left;
        for (const auto& [known, unused] : file_.tensors())
            if (!taken_.contains(known))
                left.push_back(known);
        const std::vector<std::string> nearest = loader::nearest_names(name, left);
        throw Error(ErrorCode::model,
                    "tensor '" + name + "' is missing" +
                        (nearest.empty() ? ": the file holds no name like it; is this the family "
                                           "that config.json says?"
                                         : "; the nearest names in the file are " + join(nearest)));
    }
    const std::vector<int64_t> expected(shape.begin(), shape.end());
    if (info->shape != expected)
        throw Error(ErrorCode::model, "tensor '" + name + "' is " + shape_text(info->shape) +
                                          ", but config.json implies " + shape_text(expected) +
                                          ": config and weights do not belong together");
    const View view = loader::view(*info);
    taken_.insert(name);
    to_drop_.push_back(info);
    parameters_taken_ += static_cast<int64_t>(view.elements());
    return view;
}

void Checkpoint::drop_taken() noexcept {
    for (const loader::TensorInfo* info : to_drop_)
        file_.drop(*info);
    to_drop_.clear();
}

void Checkpoint::refuse_unexpected(const std::function<bool(std::string_view)>& ignored) const {
    constexpr size_t kShown = 5;
    std::vector<std::string> unexpected;
    for (const auto& [name, unused] : file_.tensors())
        if (!taken_.contains(name) && !ignored(name))
            unexpected.push_back(name);
    if (unexpected.empty())
        return;
    const std::vector<std::string> taken(taken_.begin(), taken_.end());
    const std::vector<std::string> nearest = loader::nearest_names(unexpected.front(), taken);
    const size_t count = unexpected.size();
    unexpected.resize(std::min(count, kShown));
    throw Error(ErrorCode::model,
                std::to_string(count) + " unexpected tensor" + (count == 1 ? " " : "s: ") +
                    join(unexpected) + (count > kShown ? ", ..." : "") +
                    (nearest.empty() ? "" : "; the nearest known names are " + join(nearest)) +
                    ": config.json describes another model than the weights");
}

} // namespace yeoul
