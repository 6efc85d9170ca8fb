// The CUDA runtime of the emulator. Work runs at once, in the calling thread.
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime.h>

using Work = std::function<void()>;
struct CUstream_st { bool capturing = false; std::vector<Work> recorded; };
struct CUevent_st { std::chrono::steady_clock::time_point time; CUstream_st* captured_on = nullptr; };
struct CUgraph_st { std::vector<Work> work; };
struct CUgraphExec_st { std::vector<Work> work; };

namespace {
void run(cudaStream_t stream, Work work) {
  if (stream->capturing) stream->recorded.push_back(std::move(work)); else work();
}
}
namespace simt::detail {
void enqueue_launch(dim3 grid, dim3 block, size_t smem_bytes, cudaStream_t stream, std::function<void()> body) {
  run(stream, [=] { auto copy = body; launch_erased(grid, block, smem_bytes, [](void* p) { (*static_cast<std::function<void()>*>(p))(); }, &copy); });
}
}
const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }
const char* cudaGetErrorString(cudaError_t) { return "an emulated error"; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { *count = 1; return cudaSuccess; }
cudaError_t cudaSetDevice(int d) { return d == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) { *p = {"emulated T4", size_t{15} << 30, 7, 5, 40}; return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int) {
  switch (a) { case cudaDevAttrMultiProcessorCount: *v = 40; break; case cudaDevAttrComputeCapabilityMajor: *v = 7; break; case cudaDevAttrComputeCapabilityMinor: *v = 5; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *v = 65536; break; case cudaDevAttrL2CacheSize: *v = 4 << 20; break; default: return cudaErrorInvalidValue; }
  return cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* f, size_t* t) { *f = *t = size_t{15} << 30; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaMalloc(void** d, size_t n) {
  if (n > (size_t{15} << 30)) return cudaErrorMemoryAllocation;
  return posix_memalign(d, 256, n) ? cudaErrorMemoryAllocation : cudaSuccess; }
cudaError_t cudaFree(void* d) { free(d); return cudaSuccess; }
cudaError_t cudaHostAlloc(void** d, size_t n, unsigned) { return cudaMalloc(d, n); }
cudaError_t cudaFreeHost(void* d) { free(d); return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { *s = new CUstream_st; return cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t s) { delete s; return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t s) { return s->capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) { return s->capturing && e->captured_on != s ? cudaErrorStreamCaptureIsolation : cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { *e = new CUevent_st; return cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t e) { delete e; return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) { if (s->capturing) { e->captured_on = s; } else { e->captured_on = nullptr; e->time = std::chrono::steady_clock::now(); } return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t e) { return e->captured_on ? cudaErrorCapturedEvent : cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t e) { return e->captured_on ? cudaErrorCapturedEvent : cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t a, cudaEvent_t b) { *ms = std::chrono::duration<float, std::milli>(b->time - a->time).count(); return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void* y, const void* x, size_t n, cudaMemcpyKind, cudaStream_t s) { run(s, [=] { memcpy(y, x, n); }); return cudaSuccess; }
cudaError_t cudaMemsetAsync(void* y, int v, size_t n, cudaStream_t s) { run(s, [=] { memset(y, v, n); }); return cudaSuccess; }
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) { if (s->capturing) return cudaErrorInvalidValue; s->capturing = true; s->recorded.clear(); return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* st) { *st = s->capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone; return cudaSuccess; }
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* g) { if (!s->capturing) return cudaErrorInvalidValue; s->capturing = false; *g = new CUgraph_st{std::move(s->recorded)}; return cudaSuccess; }
cudaError_t cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t*, size_t* n) { *n = g->work.size(); return cudaSuccess; }
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* e, cudaGraph_t g, unsigned long long) { *e = new CUgraphExec_st{g->work}; return cudaSuccess; }
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s) { for (auto& w : e->work) run(s, w); return cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t g) { delete g; return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e) { delete e; return cudaSuccess; }
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void*) { a->numRegs = 0; return cudaSuccess; }
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int v) { return v <= 65536 ? cudaSuccess : cudaErrorInvalidValue; }
