// A captured forward pass of the CPU backend: the tasks in order, run by one queue entry.
#pragma once

#include <memory>
#include <utility>

#include "kernels/cpu/stream.h"
#include "kernels/device.h"

namespace yeoul::cpu {

class RecordedGraph : public Graph {
public:
    explicit RecordedGraph(std::shared_ptr<Recording> recording)
        : recording_(std::move(recording)) {}
    int nodes() const override { return static_cast<int>(recording_->tasks.size()); }
    void launch(WorkerStream& stream) const {
        stream.enqueue([this](dnnl_stream* math) {
            for (const Task& task : recording_->tasks)
                task(math);
        });
    }

private:
    std::shared_ptr<const Recording> recording_;
};

} // namespace yeoul::cpu
