// An open model and batches of photos of exactly its size: what is timed is the forward pass and
// the hand-over to it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
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
    /// Beside `weights`, which outlives it and was opened for `options.batch` among others.
    ModelSession(Session& weights, const SessionOptions& options);

    struct Times {
        double wall_ms;    // of all streams' batches, from hand-over to the last result
        double compute_ms; // of one batch's forward pass, the mean over the streams
    };
    /// One batch on each stream. Throws `Error` when a photo fails.
    Times run();

    const Session& session() const { return session_; }
    int photos() const { return options_.batch * options_.streams; }

private:
    void make_photos();

    SessionOptions options_;
    Session session_;
    std::vector<Photo> photos_; // one batch
};

/// The weights of a model and a session at a time: its batch size may change at every turn, and
/// only one needs memory for activations and photos.
class ChangingSession {
public:
    /// Plans for `batches`; others cost a load of the model.
    ChangingSession(const SessionOptions& options, std::vector<int> batches);
    /// A session of that batch size, the last one if it has it, else a new one, with which
    /// `warm_up` is called.
    ModelSession& at(int batch, const std::function<void(ModelSession&)>& warm_up);

private:
    void open_weights();

    SessionOptions options_;
    std::vector<int> batches_; // ascending
    std::unique_ptr<Session> weights_;
    std::unique_ptr<ModelSession> current_; // last: it ends before the weights
};

/// Multiply-adds count two. Of the matrix products of one photo's pass.
double gflop_per_photo(const std::filesystem::path& model);

} // namespace yeoul::bench
