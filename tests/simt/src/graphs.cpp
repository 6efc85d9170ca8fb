// Captures, and the graphs that they give.
#include "runtime.h"

using simt::detail::Capture;
using simt::detail::Operation;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    SIMT_ENTER(runtime);
    if (stream->capture != nullptr)
        return runtime.refuse(cudaErrorInvalidValue, "the stream captures already");
    stream->capture = std::make_unique<Capture>(Capture{++runtime.captures, true, {}});
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    SIMT_ENTER(runtime);
    if (stream->capture == nullptr)
        *status = cudaStreamCaptureStatusNone;
    else
        *status = stream->capture->valid ? cudaStreamCaptureStatusActive
                                         : cudaStreamCaptureStatusInvalidated;
    return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id) {
    {
        SIMT_ENTER(runtime);
        if (stream->capture != nullptr)
            *id = stream->capture->id;
    }
    return cudaStreamIsCapturing(stream, status);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    SIMT_ENTER(runtime);
    *graph = nullptr;
    if (stream->capture == nullptr)
        return runtime.refuse(cudaErrorInvalidValue, "the stream does not capture");
    const std::unique_ptr<Capture> capture = std::move(stream->capture);
    if (!capture->valid)
        return runtime.refuse(cudaErrorStreamCaptureInvalidated,
                              "an earlier call broke the capture");
    *graph = new CUgraph_st{std::move(capture->operations)};
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
    SIMT_ENTER(runtime);
    *count = graph->operations.size();
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    SIMT_ENTER(runtime);
    *exec = new CUgraphExec_st{graph->operations};
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
    SIMT_ENTER(runtime);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    SIMT_ENTER(runtime);
    for (const Operation& operation : exec->operations)
        if (const cudaError_t error = runtime.enqueue(stream, operation); error != cudaSuccess)
            return error;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec; // launches that are pending hold copies
    return cudaSuccess;
}
