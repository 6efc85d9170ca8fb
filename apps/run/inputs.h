// Which photos the arguments name.
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <vector>

#include <yeoul/engine.h>

namespace yeoul::run {

struct Input {
    std::string path;
    /// Set when there is no photo to try: a folder that cannot be listed.
    std::optional<ItemError> error;
};

/// In the order of `arguments`. A file is taken whatever its name; a folder gives its files with a
/// known image extension, at any depth, sorted bytewise, without links that lead out of it; "-"
/// takes paths from `list`, one per line or separated by NUL, whose folders are treated alike. What
/// does not exist stays in, for the engine to answer. Throws `Error`, code `invalid_argument`, when
/// `list` is a photo.
std::vector<Input> find_photos(const std::vector<std::string>& arguments, std::istream& list);

/// One part of the photos, so that several machines can share the work.
struct Shard {
    size_t index = 1, count = 1; // the index-th of count, from 1
};
/// "2/8". Throws `Error`, code `invalid_argument`.
Shard parse_shard(const std::string& text, const std::string& label);
/// The parts are consecutive: their outputs, one after the other, are the output of the whole.
std::vector<Input> take_shard(std::vector<Input> inputs, const Shard& shard);

} // namespace yeoul::run
