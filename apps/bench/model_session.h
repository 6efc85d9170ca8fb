// An open model and batches of photos of exactly its size: what is timed is the forward pass and
// the hand-over to it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <yeoul/engine.h>

#include "engine/session.h"

namespace yeoul::bench {

struct SessionOptions {
    std::filesystem::path model;
    std::string device = "auto", precision = "fp32";
    int batch = 1, streams = 1, threads = 0;
};

class ModelSession {
public:
    explicit ModelSession(const SessionOptions& options);

    struct Times {
        double wall_ms;    // of all streams' batches, from hand-over to the last result
        double compute_ms; // of one batch's forward pass, the mean over the streams
    };
    /// One batch on each stream. Throws `Error` when a photo fails.
    Times run();

    const Session& session() const { return session_; }
    int photos() const { return options_.batch * options_.streams; }

private:
    SessionOptions options_;
    Session session_;
    std::vector<Photo> photos_; // one batch
};

/// Multiply-adds count two. Of the matrix products of one photo's pass.
double gflop_per_photo(const std::filesystem::path& model);

} // namespace yeoul::bench
