// The tensors of a model file, asked for by name and shape.
#pragma once

#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <yeoul/types.h>

#include "loader/safetensors.h"

namespace yeoul {

class Checkpoint {
public:
    explicit Checkpoint(loader::Safetensors file) : file_(std::move(file)) {}

    /// The tensor, checked against the shape that the config implies. Throws `Error`, code `model`:
    /// missing (with the nearest names that are there) or of another shape or dtype.
    View tensor(const std::string& name, std::initializer_list<int> shape);

    /// Tells the system that the tensors taken so far have been copied.
    void drop_taken() noexcept;

    /// Throws `Error`, code `model`, naming the tensors that nobody took and `ignored` does not
    /// know.
    void refuse_unexpected(const std::function<bool(std::string_view)>& ignored) const;

    int64_t parameters_taken() const { return parameters_taken_; }
    const loader::Safetensors& file() const { return file_; }

private:
    loader::Safetensors file_;
    std::set<std::string, std::less<>> taken_;
    std::vector<const loader::TensorInfo*> to_drop_;
    int64_t parameters_taken_ = 0;
};

} // namespace yeoul
