// What the service needs of an engine. Tests put another behind it.
#pragma once

#include <functional>
#include <vector>

#include <yeoul/engine.h>

namespace yeoul::serve {

class PhotoEngine {
public:
    virtual ~PhotoEngine() = default;
    /// As `Engine::submit`.
    virtual void submit(Request request, std::function<void(std::vector<Result>)> on_done) = 0;
    /// As `Engine::ready`.
    virtual bool ready() const = 0;
    virtual const ModelInfo& info() const = 0;
    virtual const DeviceInfo& device() const = 0;
    virtual EngineStats stats() const = 0;
};

/// An opened engine.
class OpenedEngine : public PhotoEngine {
public:
    explicit OpenedEngine(const EngineOptions& options) : engine_(Engine::open(options)) {}
    void submit(Request request, std::function<void(std::vector<Result>)> on_done) override {
        engine_.submit(std::move(request), std::move(on_done));
    }
    bool ready() const override { return engine_.ready(); }
    const ModelInfo& info() const override { return engine_.info(); }
    const DeviceInfo& device() const override { return engine_.device(); }
    EngineStats stats() const override { return engine_.stats(); }

private:
    Engine engine_;
};

} // namespace yeoul::serve
