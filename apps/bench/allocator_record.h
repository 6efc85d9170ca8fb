// Records a trace for the allocator's replay: what sessions on a device ask of their memory.
#pragma once

#include <cstdint>
#include <string>

namespace yeoul::bench {

struct RecordFlags {
    std::string file, device = "cpu";
    /// A second model beside the bundled one, by architecture; empty: the bundled one again.
    std::string arch;
    int batch_size = 0; // 0: the device's default
    int albums = 12;    // of each part of the day
};

/// A day of sessions: models opened, exchanged beside one another and closed, albums of photos of
/// many sizes, labels replaced and albums searched for duplicates between them. Writes the trace to
/// `flags.file`. Throws `Error` as `Engine::open` and its calls; `io` when the file cannot be
/// written.
void record_trace(const RecordFlags& flags);

} // namespace yeoul::bench
