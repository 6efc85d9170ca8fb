#include "kernels/cuda/backend.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/gemm_tune.h"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {
namespace {

cudaStream_t native(StreamRef stream) {
    return static_cast<cudaStream_t>(stream.handle());
}
/// An event, and the capture that its last record belongs to: CUDA spoils a whole capture when an
/// event of another is waited for, so that is refused before CUDA sees it.
struct CudaEvent {
    cudaEvent_t event = nullptr;
    std::atomic<bool> recorded = false;
    std::atomic<unsigned long long> capture = 0; // 0: none
};
CudaEvent& native(EventRef event) {
    return *static_cast<CudaEvent*>(event.handle());
}
/// The id of the capture that the stream is in; 0: none.
unsigned long long capture_of(StreamRef stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    unsigned long long id = ~0ULL; // stays for a capture that was spoiled
    YEOUL_CUDA(cudaStreamGetCaptureInfo(native(stream), &status, &id));
    return status == cudaStreamCaptureStatusNone ? 0 : id;
}

// After these, too, the context is unusable. The first toolkits of CUDA 12 and the emulator have no
// names for them: cudaErrorContained, cudaErrorTensorMemoryLeak, cudaErrorExternalDevice.
constexpr int kNewFatalErrors[] = {226, 721, 911};

cudaMemcpyKind native(CopyKind kind) {
    switch (kind) {
    case CopyKind::host_to_device:
        return cudaMemcpyHostToDevice;
    case CopyKind::device_to_host:
        return cudaMemcpyDeviceToHost;
    case CopyKind::device_to_device:
        return cudaMemcpyDeviceToDevice;
    }
    return cudaMemcpyDefault;
}

int attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    YEOUL_CUDA(cudaDeviceGetAttribute(&value, which, device));
    return value;
}

struct EndGraph {
    void operator()(cudaGraph_t graph) const noexcept { (void)cudaGraphDestroy(graph); }
};
struct EndGraphExec {
    void operator()(cudaGraphExec_t exec) const noexcept { (void)cudaGraphExecDestroy(exec); }
};
struct EndStream {
    void operator()(cudaStream_t stream) const noexcept { (void)cudaStreamDestroy(stream); }
};

class CudaGraph final : public Graph {
public:
    CudaGraph(cudaGraph_t graph, cudaStream_t stream) {
        const std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, EndGraph> owned(graph);
        size_t count = 0;
        YEOUL_CUDA(cudaGraphGetNodes(graph, nullptr, &count));
        nodes_ = static_cast<int>(count);
        cudaGraphExec_t exec = nullptr;
        YEOUL_CUDA(cudaGraphInstantiate(&exec, graph, 0));
        exec_.reset(exec);
        YEOUL_CUDA(cudaGraphUpload(exec, stream)); // so that the first launch pays nothing
    }
    int nodes() const override { return nodes_; }
    cudaGraphExec_t exec() const { return exec_.get(); }

private:
    std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, EndGraphExec> exec_;
    int nodes_ = 0;
};

/// As NVML names a GPU; a GPU is its function 0.
std::string pci_address(const cudaDeviceProp& device) {
    char text[32];
    std::snprintf(text, sizeof text, "%08x:%02x:%02x.0", static_cast<unsigned>(device.pciDomainID),
                  static_cast<unsigned>(device.pciBusID),
                  static_cast<unsigned>(device.pciDeviceID));
    return text;
}

class CudaBackend final : public Backend {
public:
    explicit CudaBackend(BackendParts parts) : parts_(std::move(parts)) {
        use();
        cudaDeviceProp device{};
        YEOUL_CUDA(cudaGetDeviceProperties(&device, parts_.device));
        const int own = 10 * device.major + device.minor;
        if (own < 75)
            throw Error(ErrorCode::device, std::string(device.name) + " is sm_" +
                                               std::to_string(own) +
                                               ": the CUDA backend needs sm_75 (Turing) or newer");
        sm_ = parts_.sm > 0 ? parts_.sm : own;
        YEOUL_REQUIRE(sm_ >= 75 && sm_ <= own,
                      "sm " << sm_ << " was asked for, must be 75 to " << own << " here");
        properties_.kind = parts_.kind.empty() ? YEOUL_CUDA_KIND : parts_.kind;
        properties_.name = device.name;
        properties_.isa = "sm_" + std::to_string(sm_);
        properties_.pci_address = pci_address(device);
        properties_.compute_units = device.multiProcessorCount;
        properties_.total_bytes = device.totalGlobalMem;
        upload_stream_.reset(open_stream());
        // Loads a kernel: where none of this build runs on the device, that shows now.
        (void)make_top_k(context(), {.classes = 1, .k = 1, .batches = {1}});
    }

    const DeviceProperties& properties() const override { return properties_; }
    size_t free_bytes() const override {
        use();
        size_t free = 0, total = 0;
        YEOUL_CUDA(cudaMemGetInfo(&free, &total));
        return free;
    }

    void* allocate(size_t bytes) override {
        if (bytes == 0)
            return nullptr;
        use();
        void* data = nullptr;
        if (const cudaError_t error = cudaMalloc(&data, bytes); error != cudaSuccess)
            refuse(error, bytes, "device memory");
        return data;
    }
    void release(void* data) noexcept override {
        (void)cudaSetDevice(parts_.device);
        (void)cudaFree(data);
    }
    void* allocate_pinned(size_t bytes) override {
        if (bytes == 0)
            return nullptr;
        use();
        void* data = nullptr;
        if (const cudaError_t error = cudaHostAlloc(&data, bytes, cudaHostAllocDefault);
            error != cudaSuccess)
            refuse(error, bytes, "pinned host memory");
        return data;
    }
    void release_pinned(void* data) noexcept override {
        (void)cudaSetDevice(parts_.device);
        (void)cudaFreeHost(data);
    }

    StreamRef create_stream() override { return StreamRef(open_stream()); }
    void destroy_stream(StreamRef stream) noexcept override {
        (void)cudaSetDevice(parts_.device);
        (void)cudaStreamSynchronize(native(stream));
        (void)cudaStreamDestroy(native(stream));
    }
    void synchronize(StreamRef stream) override {
        use();
        refuse_capture(stream, "synchronize");
        YEOUL_CUDA(cudaStreamSynchronize(native(stream)));
    }

    EventRef create_event() override {
        use();
        auto made = std::make_unique<CudaEvent>();
        // Whoever waits sleeps: the cores are wanted for decoding.
        YEOUL_CUDA(cudaEventCreateWithFlags(&made->event, cudaEventBlockingSync));
        return EventRef(made.release());
    }
    void destroy_event(EventRef event) noexcept override {
        const std::unique_ptr<CudaEvent> owned(&native(event));
        (void)cudaSetDevice(parts_.device);
        (void)cudaEventDestroy(owned->event);
    }
    void record(EventRef event, StreamRef stream) override {
        use();
        const unsigned long long capture = capture_of(stream);
        YEOUL_CUDA(cudaEventRecord(native(event).event, native(stream)));
        native(event).capture = capture;
        native(event).recorded = true;
    }
    void wait(EventRef event, StreamRef stream) override {
        if (!native(event).recorded)
            return;
        use();
        YEOUL_REQUIRE(native(event).capture == capture_of(stream),
                      "wait: the event and the stream are not of one capture");
        YEOUL_CUDA(cudaStreamWaitEvent(native(stream), native(event).event, 0));
    }
    void synchronize(EventRef event) override {
        use();
        YEOUL_CUDA(cudaEventSynchronize(outside_capture(event, "synchronize")));
    }
    bool complete(EventRef event) override {
        use();
        const cudaError_t state = cudaEventQuery(outside_capture(event, "complete"));
        if (state == cudaErrorNotReady)
            return false;
        YEOUL_CUDA(state);
        return true;
    }
    float elapsed_ms(EventRef start, EventRef stop) override {
        use();
        float ms = 0;
        const cudaError_t error = cudaEventElapsedTime(&ms, outside_capture(start, "elapsed_ms"),
                                                       outside_capture(stop, "elapsed_ms"));
        if (error == cudaErrorInvalidResourceHandle || error == cudaErrorNotReady) {
            (void)cudaGetLastError();
            throw Error(ErrorCode::invalid_argument,
                        "elapsed_ms: an event was never recorded or is not complete");
        }
        YEOUL_CUDA(error);
        return ms;
    }

    void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) override {
        if (bytes == 0)
            return;
        YEOUL_REQUIRE(y != nullptr && x != nullptr, "copy: " << bytes << " bytes, and no memory");
        use();
        YEOUL_CUDA(cudaMemcpyAsync(y, x, bytes, native(kind), native(stream)));
    }
    void zero(void* y, size_t bytes, StreamRef stream) override {
        if (bytes == 0)
            return;
        YEOUL_REQUIRE(y != nullptr, "zero: " << bytes << " bytes, and no memory");
        use();
        YEOUL_CUDA(cudaMemsetAsync(y, 0, bytes, native(stream)));
    }

    void begin_capture(StreamRef stream) override {
        use();
        refuse_capture(stream, "begin_capture");
        // Relaxed: the other modes spoil the capture when this or another thread allocates, asks an
        // event or loads a kernel meanwhile.
        YEOUL_CUDA(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeRelaxed));
    }
    std::unique_ptr<Graph> end_capture(StreamRef stream) override {
        YEOUL_REQUIRE(capturing(stream), "end_capture: the stream is not capturing");
        cudaGraph_t graph = nullptr;
        YEOUL_CUDA(cudaStreamEndCapture(native(stream), &graph));
        return std::make_unique<CudaGraph>(graph, native(stream));
    }
    void abandon_capture(StreamRef stream) noexcept override {
        cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
        if (cudaStreamIsCapturing(native(stream), &status) != cudaSuccess ||
            status == cudaStreamCaptureStatusNone)
            return;
        cudaGraph_t graph = nullptr;
        if (cudaStreamEndCapture(native(stream), &graph) == cudaSuccess && graph != nullptr)
            (void)cudaGraphDestroy(graph);
        (void)cudaGetLastError(); // an invalidated capture leaves one behind
    }
    void launch(Graph& graph, StreamRef stream) override {
        YEOUL_REQUIRE(!capturing(stream),
                      "launch: the stream is capturing; a graph cannot hold another");
        use();
        YEOUL_CUDA(cudaGraphLaunch(static_cast<CudaGraph&>(graph).exec(), native(stream)));
    }

    Numerics numerics(std::string_view precision) const override {
        if (precision == "auto" || precision == "fp16")
            return {DType::f16, DType::f16};
        if (precision == "fp32" || precision == "bf16")
            throw Error(ErrorCode::device, "precision " + std::string(precision) +
                                               " is not computed by the CUDA backend: take fp16");
        throw Error(ErrorCode::device,
                    "precision '" + std::string(precision) + "' is not known: take auto or fp16");
    }

    void place_weights(Device& memory) override { weights_ = &memory; }

    std::unique_ptr<Resize> resize(const ResizeDesc& desc) override {
        return make_resize(context(), desc);
    }
    std::unique_ptr<Patches> patches(const PatchesDesc& desc) override {
        return make_patches(context(), desc);
    }
    std::unique_ptr<Linear> linear(const LinearDesc& desc, const LinearWeights& w) override {
        auto made = make_linear(context(), desc, w);
        const std::lock_guard lock(gemms_mutex_);
        for (int batch : desc.batches) {
            const GemmShape shape{batch * desc.rows, desc.out, desc.in, desc.activation,
                                  desc.accumulate};
            if (std::find(gemms_.begin(), gemms_.end(), shape) == gemms_.end())
                gemms_.push_back(shape);
        }
        return made;
    }
    std::string tune_gemms(double seconds) override {
        std::vector<GemmShape> gemms;
        {
            const std::lock_guard lock(gemms_mutex_);
            gemms = gemms_;
        }
        const GemmTable empty;
        const GemmTable& read = parts_.table ? *parts_.table : empty;
        return read.with(tune(context(), gemms, seconds)).text();
    }
    std::unique_ptr<TokenEmbedding> token_embedding(const TokenEmbeddingDesc& desc,
                                                    const TokenEmbeddingWeights& w) override {
        return make_token_embedding(context(), desc, w);
    }
    std::unique_ptr<TextEmbedding> text_embedding(const TextEmbeddingDesc& desc,
                                                  const TextEmbeddingWeights& w) override {
        return make_text_embedding(context(), desc, w);
    }
    std::unique_ptr<LayerNorm> layer_norm(const LayerNormDesc& desc,
                                          const NormWeights& w) override {
        return make_layer_norm(context(), desc, w);
    }
    std::unique_ptr<Attention> attention(const AttentionDesc& desc) override {
        return make_attention(context(), desc);
    }
    std::unique_ptr<EmbeddingHead> embedding_head(const EmbeddingHeadDesc& desc,
                                                  const EmbeddingHeadWeights& w) override {
        return make_embedding_head(context(), desc, w);
    }
    std::unique_ptr<Similarity> similarity(const SimilarityDesc& desc) override {
        return make_similarity(context(), desc);
    }
    std::unique_ptr<TopK> top_k(const TopKDesc& desc) override {
        return make_top_k(context(), desc);
    }

private:
    /// The current device is a property of the thread, and any thread may call.
    void use() const { YEOUL_CUDA(cudaSetDevice(parts_.device)); }

    cudaStream_t open_stream() const {
        use();
        cudaStream_t stream = nullptr;
        YEOUL_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        return stream;
    }

    Context context() {
        use();
        return {.device = *weights_,
                .sm = sm_,
                .sm_count = properties_.compute_units,
                .shared_bytes = static_cast<size_t>(
                    attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, parts_.device)),
                .stream = StreamRef(upload_stream_.get()),
                .library = parts_.library.get(),
                .table = parts_.table.get()};
    }

    static bool capturing(StreamRef stream) { return capture_of(stream) != 0; }
    static cudaEvent_t outside_capture(EventRef event, const char* call) {
        YEOUL_REQUIRE(native(event).capture == 0, call << ": the event was recorded in a capture");
        return native(event).event;
    }
    static void refuse_capture(StreamRef stream, const char* call) {
        YEOUL_REQUIRE(!capturing(stream), call << ": the stream is capturing");
    }
    [[noreturn]] static void refuse(cudaError_t error, size_t bytes, const char* what) {
        (void)cudaGetLastError();
        // Of a huge size CUDA says that the value is invalid; nothing else can be here.
        if (error == cudaErrorMemoryAllocation || error == cudaErrorInvalidValue)
            throw OutOfMemory(bytes, what);
        throw_cuda_error(error, what, __FILE__, __LINE__);
    }

    BackendParts parts_;
    Device* weights_ = this; // what weights are allocated from
    std::unique_ptr<std::remove_pointer_t<cudaStream_t>, EndStream> upload_stream_;
    int sm_ = 0;
    DeviceProperties properties_;
    std::mutex gemms_mutex_;       // searches for duplicates make ops while others do
    std::vector<GemmShape> gemms_; // of every linear op made
};

} // namespace

void throw_cuda_error(cudaError_t error, const char* expression, const char* file, int line) {
    (void)cudaGetLastError(); // a plain error stays with its call
    const std::string text = std::string(cudaGetErrorName(error)) + ", " +
                             cudaGetErrorString(error) + ", from " + expression + " at " + file +
                             ":" + std::to_string(line);
    if (std::count(std::begin(kNewFatalErrors), std::end(kNewFatalErrors), error))
        throw Error(ErrorCode::device_lost, "the device is lost: " + text);
    switch (error) {
    case cudaErrorMemoryAllocation:
        throw OutOfMemory(0, text);
    // After these the context is unusable.
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorContextIsDestroyed:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorMpsClientTerminated:
    // "An unknown internal error": it is what a GPU that fell off the bus or a crashed driver
    // gives. Nobody knows that the context is sound, so it is not used on.
    case cudaErrorUnknown:
        throw Error(ErrorCode::device_lost, "the device is lost: " + text);
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorDevicesUnavailable:
    case cudaErrorInvalidPtx:
    case cudaErrorJitCompilerNotFound:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
        throw Error(ErrorCode::device, text);
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureWrongThread:
    case cudaErrorCapturedEvent:
        throw Error(ErrorCode::invalid_argument, "not allowed while capturing: " + text);
    default:
        throw Error(ErrorCode::internal, text);
    }
}

std::unique_ptr<Backend> make_backend(BackendParts parts) {
    int count = 0;
    YEOUL_CUDA(cudaGetDeviceCount(&count));
    if (parts.device < 0 || parts.device >= count)
        throw Error(ErrorCode::device, "there is no CUDA device " + std::to_string(parts.device) +
                                           "; this machine has " + std::to_string(count));
    return std::make_unique<CudaBackend>(std::move(parts));
}

} // namespace yeoul::cuda
