// Runtime of the emulator. Compiled WITHOUT -fsanitize=thread/address instrumentation (it still drives the sanitizers'
// fiber APIs when SIMT_ASAN / SIMT_TSAN is defined), so only kernel code is checked.
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include <sys/mman.h>
#include <unistd.h>
#if defined(SIMT_ASAN)
  #include <sanitizer/asan_interface.h>
  #include <sanitizer/common_interface_defs.h>
#endif
#if defined(SIMT_TSAN)
extern "C" { void* __tsan_get_current_fiber(); void* __tsan_create_fiber(unsigned); void __tsan_destroy_fiber(void*);
  void __tsan_switch_to_fiber(void*, unsigned); void __tsan_acquire(void*); void __tsan_release(void*); void __tsan_set_fiber_name(void*, const char*); }
#endif
#if defined(__AVX2__) && defined(__F16C__)
  #include <immintrin.h>
#endif

namespace simt {
Config& config() {
  static Config c = [] {
    Config k; auto e = [](const char* n) { const char* v = getenv(n); return v ? v : ""; };
    if (!strcmp(e("SIMT_ORDER"), "random")) k.random = true;
    if (*e("SIMT_SEED")) k.seed = strtoull(e("SIMT_SEED"), nullptr, 10);
    if (*e("SIMT_WORKERS")) k.workers = atoi(e("SIMT_WORKERS"));
    return k; }();
  return c;
}
namespace detail {
thread_local constinit Lane* cur = nullptr;
thread_local constinit Geometry geo = {};

// ---------------------------------------------------------------- context switch
#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.type simt_switch,@function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch,.-simt_switch
)");
extern "C" void simt_switch(void** save, void* to) asm("simt_switch");
static void* make_stack(char* top, void (*fn)()) {
  auto* sp = reinterpret_cast<uint64_t*>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
  *--sp = 0;                                // fake return address of fn; keeps rsp % 16 == 8 at entry
  *--sp = reinterpret_cast<uint64_t>(fn);
  for (int i = 0; i < 6; ++i) *--sp = 0;
  return sp;
}
#elif defined(__aarch64__)
asm(R"(
.text
.p2align 4
.type simt_switch,%function
simt_switch:
  sub sp,sp,#160
  stp x19,x20,[sp,#0]
  stp x21,x22,[sp,#16]
  stp x23,x24,[sp,#32]
  stp x25,x26,[sp,#48]
  stp x27,x28,[sp,#64]
  stp x29,x30,[sp,#80]
  stp d8,d9,[sp,#96]
  stp d10,d11,[sp,#112]
  stp d12,d13,[sp,#128]
  stp d14,d15,[sp,#144]
  mov x9,sp
  str x9,[x0]
  mov sp,x1
  ldp x19,x20,[sp,#0]
  ldp x21,x22,[sp,#16]
  ldp x23,x24,[sp,#32]
  ldp x25,x26,[sp,#48]
  ldp x27,x28,[sp,#64]
  ldp x29,x30,[sp,#80]
  ldp d8,d9,[sp,#96]
  ldp d10,d11,[sp,#112]
  ldp d12,d13,[sp,#128]
  ldp d14,d15,[sp,#144]
  add sp,sp,#160
  ret
)");
extern "C" void simt_switch(void** save, void* to) asm("simt_switch");
static void* make_stack(char* top, void (*fn)()) {
  auto* sp = reinterpret_cast<uint64_t*>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15)) - 20;
  memset(sp, 0, 160); sp[11] = reinterpret_cast<uint64_t>(fn); return sp;
}
#else
  #error "add a context switch for this architecture (or use boost::context's fcontext)"
#endif

struct Fiber { void* sp = nullptr; char* stack = nullptr; size_t size = 0; const void* bottom = nullptr; void* fake = nullptr; void* tsan = nullptr; };
struct Rec { void* p; uint32_t mask; Op op; };
struct Warp { uint32_t present, exited, arrived; Lane* lane0; Rec rec[32]; unsigned phase; char tag[2]; };
struct Bar { unsigned arrived; int acc; unsigned phase; Red red; int result; char tag[2]; };

#if defined(SIMT_ASAN) || defined(SIMT_TSAN)
constexpr size_t kStack = 256 * 1024;
#else
constexpr size_t kStack = 64 * 1024;
#endif

struct Worker {
  Fiber main; std::vector<Fiber*> all, free, used;
  std::vector<Lane> lanes; std::vector<Warp> warps;
  std::vector<Lane*> ready; size_t head = 0, count = 0;        // ring
  std::vector<uint32_t> order; uint32_t next = 0, n = 0, exited = 0;
  Bar bar[16] = {}; Lane* waiting[16][1024];
  void (*body)(void*) = nullptr; void* args = nullptr;
  uint64_t rng = 1; bool random = false, strict = true;
  Fiber* running = nullptr; char error[2048]; size_t error_len = 0; bool failed = false;
  std::vector<void*> shared; Stats st{}; char tag[2]; unsigned parity = 0;
  unsigned char* smem = nullptr; size_t smem_size = 0;
#if defined(SIMT_TSAN)
  alignas(128) char arena[128 * 1024]; size_t arena_used = 0;
#endif

  uint64_t rnd() { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng; }
  void push(Lane* l) { size_t i = head + count++; ready[i >= ready.size() ? i - ready.size() : i] = l; }
  Lane* pop() {
    if (random) { size_t k = head + rnd() % count; if (k >= ready.size()) k -= ready.size(); std::swap(ready[k], ready[head]); }
    Lane* l = ready[head]; if (++head == ready.size()) head = 0; --count; return l;
  }
  Fiber* get_fiber(bool fresh = false);
#if defined(SIMT_TSAN)
  void retire(Fiber* f) { used.push_back(f); }   // a fiber is one CUDA thread's identity for TSan: no reuse inside a block
#else
  void retire(Fiber* f) { free.push_back(f); }
#endif
  void switch_to(Fiber* to);
  void run_block();
  ~Worker();
};
static thread_local Worker* tw = nullptr;
// 0xff.. = NaN in fp16/bf16/fp32/fp64: reads of shared memory nobody wrote show up in the result.
static void poison(void* p, size_t n) {
#if defined(SIMT_TSAN)
  auto* v = static_cast<volatile char*>(p); for (size_t i = 0; i < n; ++i) v[i] = (char)0xff;   // memset is intercepted
#else
  memset(p, 0xff, n);
#endif
}

void Worker::switch_to(Fiber* to) {
  Fiber* from = running; running = to; ++st.switches;
#if defined(SIMT_ASAN)
  __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#endif
#if defined(SIMT_TSAN)
  __tsan_switch_to_fiber(to->tsan, 1);  // 1 = no happens-before edge: only real barriers order CUDA threads
#endif
  simt_switch(&from->sp, to->sp);
#if defined(SIMT_ASAN)
  const void* b; size_t s; __sanitizer_finish_switch_fiber(from->fake, &b, &s);
#endif
}

static void fiber_main() {
  Worker& w = *tw; Fiber* me = w.running;
#if defined(SIMT_ASAN)
  { const void* b; size_t s; __sanitizer_finish_switch_fiber(nullptr, &b, &s); if (!w.main.bottom) { w.main.bottom = b; w.main.size = s; } }
#endif
  for (;;) {
    Lane* l = &w.lanes[w.order[w.next++]];
    l->fiber = me; cur = l;
#if defined(SIMT_TSAN)
    __tsan_acquire(&w.tag[w.parity ^ 1]);
    { char* q = l->name; auto put = [&](unsigned v, char e) { char d[10]; int k = 0; do d[k++] = '0' + v % 10; while (v /= 10); while (k) *q++ = d[--k]; *q++ = e; };
      *q++ = 't'; *q++ = '('; put(l->tid.x, ','); put(l->tid.y, ','); put(l->tid.z, ')'); *q = 0; __tsan_set_fiber_name(me->tsan, l->name); }
#endif
    w.body(w.args);
#if defined(SIMT_TSAN)
    __tsan_release(&w.tag[w.parity]);
#endif
    ++w.exited; l->warp->exited |= 1u << (l->linear & 31);
    if (w.strict) {
      for (Bar& b : w.bar) if (b.arrived) fail("a thread returned while others of its block wait at __syncthreads()");
      if (l->warp->arrived) fail("a thread returned while lanes of its warp wait in a warp-collective (mask names an exited lane)");
    }
    if (w.exited == w.n) { w.retire(me); w.switch_to(&w.main); }
    else if (w.count && (!w.random || w.next == w.n || (w.rnd() & 1))) {
      w.retire(me); Lane* t = w.pop(); cur = t; w.switch_to(t->fiber);
    } else if (w.next < w.n) {
#if defined(SIMT_TSAN)
      w.retire(me); w.switch_to(w.get_fiber());
#endif
    } else fail("deadlock: every remaining thread waits");
  }
}
Fiber* Worker::get_fiber(bool fresh) {
  if (!fresh && !free.empty()) { Fiber* f = free.back(); free.pop_back(); return f; }
  auto* f = new Fiber; size_t page = 4096;
  f->stack = (char*)mmap(nullptr, kStack + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (f->stack == MAP_FAILED) { perror("mmap"); abort(); }
  mprotect(f->stack, page, PROT_NONE);                       // guard page
  f->bottom = f->stack + page; f->size = kStack;
  size_t colour = (all.size() * 192) % 4096;                 // stagger: equal offsets would share L1 sets
  f->sp = make_stack(f->stack + page + kStack - 64 - colour, fiber_main);
#if defined(SIMT_TSAN)
  f->tsan = __tsan_create_fiber(0);
#endif
  all.push_back(f); ++st.fibers; return f;
}
Worker::~Worker() {
  for (Fiber* f : all) {
#if defined(SIMT_TSAN)
    __tsan_destroy_fiber(f->tsan);
#endif
#if defined(SIMT_ASAN)
    __asan_unpoison_memory_region(f->stack, kStack + 4096);
#endif
    munmap(f->stack, kStack + 4096); delete f; }
  ::free(smem);
}
static void block_me() {   // the calling lane waits; someone pushes it on `ready` later
  Worker& w = *tw; Lane* me = cur;
  if (w.count && (!w.random || w.next == w.n || (w.rnd() & 1))) { Lane* t = w.pop(); if (t != me) { cur = t; w.switch_to(t->fiber); } }
  else if (w.next < w.n) w.switch_to(w.get_fiber());
  else if (w.count) { Lane* t = w.pop(); if (t != me) { cur = t; w.switch_to(t->fiber); } }
  else fail("deadlock: every remaining thread waits (divergent barrier or warp-collective?)");
  cur = me;
}
static const char* opname(Op o) { static const char* n[] = {"__syncwarp", "shuffle", "vote", "match", "mma.m16n8k8", "mma.m8n8k16", "ldmatrix.x2", "ldmatrix.x4", "ldmatrix.x4.trans"}; return n[(int)o]; }

[[noreturn]] void fail(const char* msg) {
  Worker& w = *tw;
  auto add = [&](const char* f, auto... a) { if (w.error_len < sizeof w.error - 1) w.error_len += (size_t)snprintf(w.error + w.error_len, sizeof w.error - w.error_len, f, a...); };
  w.error_len = 0; uint3 t = cur ? cur->tid : uint3{};
  add("simt: block (%u,%u,%u) thread (%u,%u,%u): %s", geo.bid.x, geo.bid.y, geo.bid.z, t.x, t.y, t.z, msg);
  unsigned waitbar = 0; for (Bar& x : w.bar) waitbar += x.arrived;
  add("\n  %u of %u threads returned, %u at a block barrier", w.exited, w.n, waitbar);
  for (size_t i = 0; i < w.warps.size(); ++i) if (Warp& p = w.warps[i]; p.arrived) {
    int l = std::countr_zero(p.arrived);
    add("\n  warp %u: lanes %08x wait, first in %s(mask %08x)", (unsigned)i, p.arrived, opname(p.rec[l].op), p.rec[l].mask); }
#if defined(SIMT_TSAN)
  __tsan_release(&w.tag[0]);
#endif
  w.failed = true; w.switch_to(&w.main); abort();
}

// ---------------------------------------------------------------- collectives
template <int K> static void exec_mma(Warp& w) {
  alignas(64) uint32_t Ah[16][K / 2]; alignas(64) uint16_t Bh[K][8]; alignas(64) float A[16][K], B[K][8], C[16][8];
  for (int l = 0; l < 32; ++l) {
    auto* r = static_cast<MmaRec*>(w.rec[l].p); const int g = l >> 2, t = l & 3;
    Ah[g][t] = r->a[0]; Ah[g + 8][t] = r->a[1];
    Bh[2 * t][g] = (uint16_t)r->b[0]; Bh[2 * t + 1][g] = (uint16_t)(r->b[0] >> 16);
    if constexpr (K == 16) { Ah[g][t + 4] = r->a[2]; Ah[g + 8][t + 4] = r->a[3]; Bh[2 * t + 8][g] = (uint16_t)r->b[1]; Bh[2 * t + 9][g] = (uint16_t)(r->b[1] >> 16); }
    memcpy(&C[g][2 * t], &r->c[0], 8); memcpy(&C[g + 8][2 * t], &r->c[2], 8);
  }
  auto cvt = [](const void* src, float* dst, int n) {
#if defined(__F16C__)
    for (int i = 0; i < n; i += 8) _mm256_store_ps(dst + i, _mm256_cvtph_ps(_mm_load_si128((const __m128i*)((const uint16_t*)src + i))));
#else
    for (int i = 0; i < n; ++i) dst[i] = h2f(static_cast<const uint16_t*>(src)[i]);
#endif
  };
  cvt(Ah, &A[0][0], 16 * K); cvt(Bh, &B[0][0], K * 8);
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < K; ++k) { const float a = A[i][k]; for (int j = 0; j < 8; ++j) C[i][j] += a * B[k][j]; }
  for (int l = 0; l < 32; ++l) {
    auto* r = static_cast<MmaRec*>(w.rec[l].p); const int g = l >> 2, t = l & 3;
    memcpy(&r->d[0], &C[g][2 * t], 8); memcpy(&r->d[2], &C[g + 8][2 * t], 8);
  }
}
static void exec_imma(Warp& w) {
  int8_t A[8][16], B[16][8];
  for (int l = 0; l < 32; ++l) { auto* r = static_cast<ImmaRec*>(w.rec[l].p); const int g = l >> 2, t = l & 3;
    for (int i = 0; i < 4; ++i) { A[g][4 * t + i] = (int8_t)(r->a >> (8 * i)); B[4 * t + i][g] = (int8_t)(r->b >> (8 * i)); } }
  for (int l = 0; l < 32; ++l) { auto* r = static_cast<ImmaRec*>(w.rec[l].p); const int g = l >> 2, t = l & 3;
    for (int j = 0; j < 2; ++j) for (int k = 0; k < 16; ++k) r->d[j] += A[g][k] * B[k][2 * t + j]; }
}
static void exec_ldm(Warp& w, int n, bool trans) {
  for (int m = 0; m < n; ++m) {
    uint16_t M[8][8]; for (int r = 0; r < 8; ++r) memcpy(M[r], &static_cast<LdmRec*>(w.rec[m * 8 + r].p)->row, 16);
    for (int l = 0; l < 32; ++l) { int r = l >> 2, c = (l & 3) * 2;
      uint16_t lo = trans ? M[c][r] : M[r][c], hi = trans ? M[c + 1][r] : M[r][c + 1];
      static_cast<LdmRec*>(w.rec[l].p)->out[m] = lo | (unsigned)hi << 16; }
  }
}
void warp_collective(Op op, unsigned mask, void* rec) {
  Worker& wk = *tw; Lane* me = cur; Warp& w = *me->warp; unsigned ln = me->linear & 31, bit = 1u << ln;
  if (!(mask & bit)) fail("warp-collective whose mask does not name the calling lane");
  w.rec[ln] = {rec, mask, op}; w.arrived |= bit; ++wk.st.collectives;
#if defined(SIMT_TSAN)
  const unsigned ph = w.phase & 1;
  if (op == Op::syncwarp) __tsan_release(&w.tag[ph]);
#endif
  unsigned need = mask & w.present & ~w.exited;
  if (wk.strict && (mask & w.exited)) fail("warp-collective whose mask names a lane that has returned");
  if ((w.arrived & need) != need) { block_me(); }
  else {
    for (unsigned m = need; m; m &= m - 1) { int l = std::countr_zero(m);
      if (w.rec[l].op != op || w.rec[l].mask != mask) {
        char b[160]; snprintf(b, sizeof b, "lanes of one warp meet in different collectives: lane %u %s(mask %08x), lane %d %s(mask %08x)", ln, opname(op), mask, l, opname(w.rec[l].op), w.rec[l].mask); fail(b); } }
    switch (op) {
      case Op::syncwarp: ++w.phase; break;
      case Op::shfl:
        for (unsigned m = need; m; m &= m - 1) { auto* r = static_cast<ShflRec*>(w.rec[std::countr_zero(m)].p);
          if (need >> r->src & 1) r->out = static_cast<ShflRec*>(w.rec[r->src].p)->val; else r->out = 0x7ff7fff7fff7fff7ull; } // NaN pattern
        break;
      case Op::ballot: { unsigned v = 0; for (unsigned m = need; m; m &= m - 1) { int l = std::countr_zero(m); if (static_cast<VoteRec*>(w.rec[l].p)->pred) v |= 1u << l; }
        for (unsigned m = need; m; m &= m - 1) static_cast<VoteRec*>(w.rec[std::countr_zero(m)].p)->out = v; break; }
      case Op::match:
        for (unsigned m = need; m; m &= m - 1) { auto* r = static_cast<VoteRec*>(w.rec[std::countr_zero(m)].p); r->out = 0;
          for (unsigned k = need; k; k &= k - 1) { int l = std::countr_zero(k); if (static_cast<VoteRec*>(w.rec[l].p)->pred == r->pred) r->out |= 1u << l; } }
        break;
      default:
        if (need != 0xffffffffu) fail("mma/ldmatrix needs all 32 lanes");
        if (op == Op::mma_k8) exec_mma<8>(w); else if (op == Op::imma) exec_imma(w);
        else if (op == Op::ldm2) exec_ldm(w, 2, false); else exec_ldm(w, 4, op == Op::ldm4t);
    }
    w.arrived &= ~need;
    for (unsigned m = need & ~bit; m; m &= m - 1) wk.push(w.lane0 + std::countr_zero(m));
    if (wk.random) { wk.push(me); block_me(); }
  }
#if defined(SIMT_TSAN)
  if (op == Op::syncwarp) __tsan_acquire(&w.tag[ph]);
#endif
}
int block_barrier(int id, unsigned nthreads, Red red, int pred) {
  Worker& w = *tw; Bar& b = w.bar[id]; Lane* me = cur; ++w.st.barriers;
  if (!nthreads) nthreads = w.n;
  if (w.strict && w.exited) fail("__syncthreads() after some threads of the block returned");
  if (b.arrived && b.red != red) fail("threads meet in different kinds of __syncthreads()");
  unsigned ph = b.phase & 1; b.red = red; (void)ph;
#if defined(SIMT_TSAN)
  __tsan_release(&b.tag[ph]);
#endif
  if (!b.arrived) b.acc = red == Red::all;
  if (red == Red::count) b.acc += pred != 0; else if (red == Red::all) b.acc &= pred != 0; else if (red == Red::any) b.acc |= pred != 0;
  w.waiting[id][b.arrived++] = me;
  unsigned need = w.strict ? nthreads : nthreads - w.exited;
  if (b.arrived < need) block_me();
  else {
    b.result = b.acc; unsigned k = b.arrived; b.arrived = 0; ++b.phase;
    for (unsigned i = 0; i + 1 < k; ++i) w.push(w.waiting[id][i]);
    if (w.random) { w.push(me); block_me(); }
  }
#if defined(SIMT_TSAN)
  __tsan_acquire(&b.tag[ph]);
#endif
  return b.result;   // next phase's last arriver cannot run before every thread has read this one: it needs them all
}
void* shared_alloc(size_t n) {
#if defined(SIMT_TSAN)
  Worker& w = *tw; char* q = w.arena + w.arena_used; w.arena_used += (n + 127) & ~size_t(127);
  if (w.arena_used > sizeof w.arena) fail("too much SIMT_SHARED memory");
  poison(q, n); return q;
#else
  void* p = aligned_alloc(16, (n + 15) & ~size_t(15));
#if defined(SIMT_ASAN)
  if (n & 15) { ::free(p); if (posix_memalign(&p, 16, n)) abort(); }
#endif
  poison(p, n); tw->shared.push_back(p); return p;
#endif
}
void Worker::run_block() {
#if defined(SIMT_TSAN)
  arena_used = 0;
#endif
  ++geo.generation; ++st.blocks; st.threads += n; parity ^= 1;
  for (void* p : shared) ::free(p); shared.clear();
#if defined(SIMT_ASAN)
  ::free(smem); smem = nullptr; if (smem_size && posix_memalign((void**)&smem, 128, smem_size)) abort();   // exact size: red zone right behind
#endif
  if (smem_size) poison(smem, smem_size);
  geo.dyn_smem = smem;
  head = count = 0; next = exited = 0; for (Bar& b : bar) b.arrived = 0;
  for (Warp& p : warps) p.exited = p.arrived = 0;
  if (random) for (uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[rnd() % i]);
  free.insert(free.end(), used.begin(), used.end()); used.clear();
  running = &main; switch_to(get_fiber()); cur = nullptr;
}

struct Job { dim3 g, b; size_t smem; void (*body)(void*); void* args; std::atomic<uint64_t> next{0}; uint64_t total, mul = 1, add = 0; std::atomic<bool> failed{false}; std::mutex m; std::string error; };
static Stats g_stats; static std::mutex g_mx;

static void work(Job& j, uint64_t seed) {
  static thread_local struct Holder { Worker* w = nullptr; ~Holder() { delete w; } } h;
  if (!h.w) h.w = new Worker;
  Worker& w = *h.w; tw = &w; auto& c = config();
  w.random = c.random; w.strict = c.strict; w.rng = (c.seed * 0x9e3779b97f4a7c15ull) ^ (seed + 0x1234567); w.body = j.body; w.args = j.args;
  uint32_t n = j.b.x * j.b.y * j.b.z;
  if (w.n != n || w.lanes.size() != n) { w.n = n; w.lanes.assign(n, {}); w.warps.assign((n + 31) / 32, {}); w.ready.assign(n + 1, nullptr); }
  w.order.resize(n); for (uint32_t i = 0; i < n; ++i) w.order[i] = i;
  for (uint32_t i = 0; i < n; ++i) { Lane& l = w.lanes[i]; l.linear = i; l.tid = {i % j.b.x, i / j.b.x % j.b.y, i / (j.b.x * j.b.y)}; l.warp = &w.warps[i / 32]; }
  for (size_t k = 0; k < w.warps.size(); ++k) { uint32_t left = n - (uint32_t)k * 32; w.warps[k].present = left >= 32 ? ~0u : (1u << left) - 1; w.warps[k].lane0 = &w.lanes[k * 32]; }
  geo.bdim = j.b; geo.gdim = j.g;
  if (w.smem_size != j.smem) { ::free(w.smem); w.smem = nullptr; w.smem_size = j.smem; if (j.smem && posix_memalign((void**)&w.smem, 128, j.smem)) abort(); }
#if defined(SIMT_TSAN)
  // Make every fiber here: inside a fiber the runtime must not call intercepted libc functions (malloc, memmove, ...),
  // whose accesses TSan would attribute to the CUDA thread.
  w.all.reserve(2048); w.free.reserve(2048); w.used.reserve(2048);
  while (w.all.size() < n) { Fiber* f = w.get_fiber(true); w.free.push_back(f); }
  w.main.tsan = __tsan_get_current_fiber(); __tsan_release(&w.tag[w.parity]);
#endif
  for (;;) {
    uint64_t i = j.next.fetch_add(1, std::memory_order_relaxed);
    if (i >= j.total || j.failed.load(std::memory_order_relaxed)) break;
    if (w.random) i = (i * j.mul + j.add) % j.total;      // blocks in a scrambled order too
    geo.bid = {(unsigned)(i % j.g.x), (unsigned)(i / j.g.x % j.g.y), (unsigned)(i / ((uint64_t)j.g.x * j.g.y))};
    w.run_block();
    if (w.failed) {
#if defined(SIMT_TSAN)
      __tsan_acquire(&w.tag[0]);
#endif
      { std::lock_guard lk(j.m); if (!j.failed.exchange(true)) j.error = w.error; }
#if !defined(SIMT_TSAN)
      delete h.w;   // with the half-run fibers' stacks
#endif
      h.w = nullptr; tw = nullptr; return;
    }
  }
#if defined(SIMT_TSAN)
  __tsan_acquire(&w.tag[0]); __tsan_acquire(&w.tag[1]);
#endif
  { std::lock_guard lk(g_mx); auto& s = w.st; g_stats.switches += s.switches; g_stats.collectives += s.collectives; g_stats.barriers += s.barriers; g_stats.blocks += s.blocks; g_stats.threads += s.threads; g_stats.fibers += s.fibers; s = {}; }
}
// persistent pool
struct Pool {
  std::mutex m; std::condition_variable cv, done; std::vector<std::thread> t; Job* job = nullptr; uint64_t seq = 0; int active = 0; bool stop = false;
  explicit Pool(int n) { for (int i = 0; i < n; ++i) t.emplace_back([this, i] { uint64_t seen = 0; for (;;) { Job* j; { std::unique_lock lk(m); cv.wait(lk, [&] { return stop || seq != seen; }); if (stop) return; seen = seq; j = job; }
      if (j) work(*j, i + 1); { std::lock_guard lk(m); if (--active == 0) done.notify_one(); } } }); }
  ~Pool() { { std::lock_guard lk(m); stop = true; } cv.notify_all(); for (auto& x : t) x.join(); }
  void run(Job& j) { { std::lock_guard lk(m); job = &j; ++seq; active = (int)t.size(); } cv.notify_all(); work(j, 0); std::unique_lock lk(m); done.wait(lk, [&] { return active == 0; }); job = nullptr; }
};
void launch_erased(dim3 g, dim3 b, size_t smem, void (*body)(void*), void* args) {
  if ((uint64_t)b.x * b.y * b.z > 1024 || b.x * b.y * b.z == 0) throw std::invalid_argument("simt: block size");
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.y > 65535 || g.z > 65535) throw std::invalid_argument("simt: grid size");
  Job j; j.g = g; j.b = b; j.smem = smem; j.body = body; j.args = args; j.total = (uint64_t)g.x * g.y * g.z;
  if (config().random) { j.mul = 2654435761u % j.total; while (std::gcd(j.mul, j.total) != 1) ++j.mul; j.add = config().seed * 7919 % j.total; }
  int nw = config().workers ? config().workers : (int)std::thread::hardware_concurrency();
#if defined(SIMT_SERIAL)
  nw = 1;
#endif
  if (nw <= 1 || j.total == 1) work(j, 0);
  else { static Pool pool(nw - 1); pool.run(j); }
  if (j.failed) throw std::runtime_error(j.error);
}
}  // namespace detail
Stats take_stats() { std::lock_guard lk(detail::g_mx); Stats s = detail::g_stats; detail::g_stats = {}; return s; }
}  // namespace simt
