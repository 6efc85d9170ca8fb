// The model to measure: a directory of the user, or random weights that go away again.
#pragma once

#include <filesystem>
#include <string>

namespace yeoul::bench {

class MeasuredModel {
public:
    /// `directory`, the bundled model when empty; or, of an architecture by name, a directory with
    /// random weights. Throws `Error`, code `invalid_argument`, when both are given.
    MeasuredModel(const std::string& directory, const std::string& arch);
    ~MeasuredModel();
    MeasuredModel(const MeasuredModel&) = delete;
    MeasuredModel& operator=(const MeasuredModel&) = delete;

    const std::filesystem::path& path() const { return path_; }
    const std::string& name() const { return name_; }

private:
    std::filesystem::path path_, temporary_;
    std::string name_;
};

} // namespace yeoul::bench
