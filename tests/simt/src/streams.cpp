// Streams, events and the work on them.
#include "runtime.h"

#include <exception>

using simt::detail::Marker;
using simt::detail::Operation;
using simt::detail::Runtime;

namespace simt::detail {

cudaError_t Runtime::enqueue(cudaStream_t stream, Operation operation) {
    if (stream == nullptr)
        return refuse(cudaErrorInvalidResourceHandle, "the default stream is not emulated");
    if (stream->capture == nullptr) {
        stream->pending.push_back(std::move(operation));
        return cudaSuccess;
    }
    if (!stream->capture->valid)
        return refuse(cudaErrorStreamCaptureInvalidated, "an earlier call broke the capture");
    stream->capture->operations.push_back(std::move(operation));
    return cudaSuccess;
}

void Runtime::execute(Operation& operation) {
    if (operation.wait != nullptr)
        run_until(*operation.wait);
    if (operation.work && lost == cudaSuccess) {
        try {
            operation.work();
        } catch (const std::exception& exception) {
            lose(exception.what());
        }
    }
    if (operation.record != nullptr) {
        operation.record->time = std::chrono::steady_clock::now();
        operation.record->reached = true;
    }
}

void Runtime::run_next(CUstream_st& stream) {
    Operation operation = std::move(stream.pending.front());
    stream.pending.pop_front();
    execute(operation);
}

void Runtime::run_all(CUstream_st& stream) {
    while (!stream.pending.empty())
        run_next(stream);
}

// A wait names a recording that was enqueued before it, so streams never wait in a circle.
void Runtime::run_until(const Marker& marker) {
    while (!marker.reached)
        run_next(*marker.stream);
}

void Runtime::step_towards(const Marker& marker) {
    if (marker.reached)
        return;
    const Operation& next = marker.stream->pending.front();
    if (next.wait != nullptr && !next.wait->reached)
        step_towards(*next.wait);
    else
        run_next(*marker.stream);
}

} // namespace simt::detail

namespace {

cudaError_t break_capture(Runtime& runtime, CUstream_st& stream, const char* call) {
    stream.capture->valid = false;
    return runtime.refuse(cudaErrorStreamCaptureUnsupported,
                          std::string(call) + " of a stream that captures");
}

cudaError_t refuse_captured(Runtime& runtime) {
    return runtime.refuse(cudaErrorCapturedEvent, "the event's last recording is in a capture");
}

} // namespace

cudaError_t cudaDeviceSynchronize() {
    SIMT_ENTER(runtime);
    for (CUstream_st* stream : runtime.streams)
        if (stream->capture != nullptr)
            return break_capture(runtime, *stream, "synchronization");
    for (CUstream_st* stream : runtime.streams)
        runtime.run_all(*stream);
    return runtime.lost != cudaSuccess ? runtime.refuse_lost() : cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    SIMT_ENTER(runtime);
    *stream = new CUstream_st;
    runtime.streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    runtime.run_all(*stream); // which drops the work of a lost device
    runtime.streams.erase(stream);
    delete stream;
    return runtime.lost != cudaSuccess ? runtime.refuse_lost() : cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    SIMT_ENTER(runtime);
    if (stream->capture != nullptr)
        return break_capture(runtime, *stream, "synchronization");
    runtime.run_all(*stream);
    return runtime.lost != cudaSuccess ? runtime.refuse_lost() : cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    SIMT_ENTER(runtime);
    if (stream->capture != nullptr) {
        if (event->capture == stream->capture->id || (event->capture == 0 && !event->last))
            return cudaSuccess; // the stream's own order
        return runtime.refuse(cudaErrorStreamCaptureIsolation,
                              "a capture waits for an event that was recorded outside it");
    }
    if (event->capture != 0)
        return refuse_captured(runtime);
    if (event->last == nullptr || event->last->reached)
        return cudaSuccess;
    return runtime.enqueue(stream, {{}, event->last, {}});
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    SIMT_ENTER(runtime);
    *event = new CUevent_st;
    (*event)->timed = (flags & cudaEventDisableTiming) == 0;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event; // work that names its recordings keeps those
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    SIMT_ENTER(runtime);
    if (stream->capture != nullptr) {
        event->capture = stream->capture->id;
        return cudaSuccess;
    }
    event->capture = 0;
    event->last = std::make_shared<Marker>(Marker{stream});
    return runtime.enqueue(stream, {{}, {}, event->last});
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    SIMT_ENTER(runtime);
    if (event->capture != 0)
        return refuse_captured(runtime);
    if (event->last != nullptr)
        runtime.run_until(*event->last);
    return runtime.lost != cudaSuccess ? runtime.refuse_lost() : cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    SIMT_ENTER(runtime);
    if (event->capture != 0)
        return refuse_captured(runtime);
    if (event->last == nullptr)
        return cudaSuccess;
    runtime.step_towards(*event->last);
    if (runtime.lost != cudaSuccess)
        return runtime.refuse_lost();
    return event->last->reached ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t stop) {
    SIMT_ENTER(runtime);
    for (const CUevent_st* event : {start, stop}) {
        if (event->capture != 0 || event->last == nullptr || !event->timed)
            return runtime.refuse(cudaErrorInvalidResourceHandle,
                                  "an event was never recorded, or not to measure time");
        if (!event->last->reached)
            return runtime.refuse(cudaErrorNotReady, "an event is not reached yet");
    }
    *ms = std::chrono::duration<float, std::milli>(stop->last->time - start->last->time).count();
    return cudaSuccess;
}
