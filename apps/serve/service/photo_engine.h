// What the service needs of an engine. Tests put another behind it.
#pragma once

#include <functional>
#include <vector>

#include <yeoul/engine.h>

namespace yeoul::serve {

class PhotoEngine {
public:
    virtual ~PhotoEngine() = default;
    /// As of `Engine`:
    virtual void submit(Request request, std::function<void(std::vector<Result>)> on_done) = 0;
    virtual bool ready() const = 0;
    virtual void set_labels(const Labels& labels) = 0;
    virtual Duplicates duplicates(const std::vector<std::vector<float>>& embeddings,
                                  double threshold) = 0;
    virtual const ModelInfo& info() const = 0;
    virtual const DeviceInfo& device() const = 0;
    virtual EngineStats stats() const = 0;
    /// Whether it was opened with `EngineOptions::text`, which labels need.
    virtual bool has_text() const = 0;
};

/// An opened engine.
class OpenedEngine : public PhotoEngine {
public:
    explicit OpenedEngine(const EngineOptions& options)
        : engine_(Engine::open(options)), text_(options.text) {}
    void submit(Request request, std::function<void(std::vector<Result>)> on_done) override {
        engine_.submit(std::move(request), std::move(on_done));
    }
    bool ready() const override { return engine_.ready(); }
    void set_labels(const Labels& labels) override { engine_.set_labels(labels); }
    Duplicates duplicates(const std::vector<std::vector<float>>& embeddings,
                          double threshold) override {
        return engine_.duplicates(embeddings, threshold);
    }
    const ModelInfo& info() const override { return engine_.info(); }
    const DeviceInfo& device() const override { return engine_.device(); }
    EngineStats stats() const override { return engine_.stats(); }
    bool has_text() const override { return text_; }

private:
    Engine engine_;
    bool text_;
};

} // namespace yeoul::serve
