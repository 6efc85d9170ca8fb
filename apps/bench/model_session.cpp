#include "apps/bench/model_session.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>

#include "apps/bench/sample_photo.h"
#include "apps/cli/engine_flags.h"
#include "loader/model_config.h"

namespace yeoul::bench {
namespace {

EngineOptions engine_options(const SessionOptions& options) {
    EngineOptions engine;
    engine.model = options.model;
    engine.device = options.device;
    engine.precision = cli::parse_precision(options.precision);
    engine.batch_size = options.batch;
    engine.streams = options.streams;
    engine.threads = options.threads;
    return engine;
}

} // namespace

ModelSession::ModelSession(const SessionOptions& options)
    : options_(options), session_(open_backend(engine_options(options)), engine_options(options),
                                  {.batches = {options.batch}, .full_batches = false}) {
    make_photos();
}

ModelSession::ModelSession(Session& weights, const SessionOptions& options)
    : options_(options), session_(weights, engine_options(options),
                                  {.batches = {options.batch}, .full_batches = false}) {
    make_photos();
}

void ModelSession::make_photos() {
    const ModelInfo& info = session_.info();
    for (int i = 0; i < options_.batch; ++i)
        photos_.push_back(Photo::rgb(sample_pixels(info.image_height, info.image_width, i),
                                     info.image_height, info.image_width));
}

ModelSession::Times ModelSession::run() {
    std::vector<Request> requests(options_.streams);
    for (Request& request : requests)
        request.photos = photos_; // copied before the clock starts: the engine takes ownership
    std::vector<std::future<std::vector<Result>>> answers;
    const auto start = std::chrono::steady_clock::now();
    for (Request& request : requests) {
        auto promise = std::make_shared<std::promise<std::vector<Result>>>();
        answers.push_back(promise->get_future());
        session_.submit(std::move(request), [promise](std::vector<Result> results) {
            promise->set_value(std::move(results));
        });
    }
    for (const auto& answer : answers)
        answer.wait();
    const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - start;
    Times times{.wall_ms = wall.count(), .compute_ms = 0};
    for (auto& answer : answers) {
        const std::vector<Result> results = answer.get();
        for (const Result& result : results)
            if (result.error)
                throw Error(result.error->code, result.error->message);
        times.compute_ms += results.front().times.compute_ms / options_.streams;
    }
    return times;
}

ChangingSession::ChangingSession(const SessionOptions& options, std::vector<int> batches)
    : options_(options), batches_(std::move(batches)) {
    open_weights();
}

void ChangingSession::open_weights() {
    std::sort(batches_.begin(), batches_.end());
    batches_.erase(std::unique(batches_.begin(), batches_.end()), batches_.end());
    options_.batch = batches_.back();
    const EngineOptions engine = engine_options(options_);
    weights_ = std::make_unique<Session>(
        open_backend(engine), engine, MeasuringOptions{.batches = batches_, .full_batches = false});
}

ModelSession& ChangingSession::at(int batch, const std::function<void(ModelSession&)>& warm_up) {
    if (current_ && options_.batch == batch)
        return *current_;
    current_.reset();
    if (!std::binary_search(batches_.begin(), batches_.end(), batch)) {
        batches_.push_back(batch);
        weights_.reset();
        open_weights();
    }
    options_.batch = batch;
    current_ = std::make_unique<ModelSession>(*weights_, options_);
    warm_up(*current_);
    return *current_;
}

double gflop_per_photo(const std::filesystem::path& model) {
    const loader::ClipVisionConfig config = loader::read_model_config(model).clip_vision;
    const double tokens = config.tokens(), dim = config.hidden_size;
    const double patch = 3.0 * config.patch_size * config.patch_size;
    const double projections = 4 * tokens * dim * dim;
    const double attention = 2 * tokens * tokens * dim;
    const double mlp = 2 * tokens * dim * config.intermediate_size;
    const double multiply_adds = config.patches() * patch * dim +
                                 config.num_hidden_layers * (projections + attention + mlp) +
                                 dim * config.projection_dim;
    return 2 * multiply_adds / 1e9;
}

} // namespace yeoul::bench
