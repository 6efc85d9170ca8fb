#include "tests/support/failing_new.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// `operator new` is one for the whole program, and so is what it looks at.
namespace {

constinit std::atomic<bool> armed = false, fail_others = false;
constinit std::atomic<int64_t> left = 0, most = 0;
constinit thread_local bool is_test = false;

bool fails() {
    if (!armed || is_test == fail_others)
        return false;
    const int64_t now = --left;
    return now <= 0 && -now < most;
}

void* take(size_t bytes, size_t alignment) {
    if (fails())
        return nullptr;
    void* data = nullptr;
    if (posix_memalign(&data, alignment, bytes) != 0)
        return nullptr;
    return data;
}

void* take_or_throw(size_t bytes, size_t alignment) {
    if (void* data = take(bytes, alignment))
        return data;
    throw std::bad_alloc();
}

} // namespace

namespace yeoul::test {

FailingNew::FailingNew(int64_t nth, Threads threads, int64_t times) {
    is_test = true;
    left = nth;
    most = times;
    fail_others = threads == Threads::others;
    armed = true;
}

FailingNew::~FailingNew() {
    armed = false;
    is_test = false;
}

bool FailingNew::failed() const {
    return left <= 0;
}

} // namespace yeoul::test

// Each form that the program may take: sanitizers bring all of their own and expect pairs.
using std::align_val_t, std::nothrow_t, std::size_t;

void* operator new(size_t bytes) {
    return take_or_throw(bytes, alignof(std::max_align_t));
}
void* operator new(size_t bytes, align_val_t alignment) {
    return take_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const nothrow_t&) noexcept {
    return take(bytes, alignof(std::max_align_t));
}
void* operator new(size_t bytes, align_val_t alignment, const nothrow_t&) noexcept {
    return take(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes) {
    return take_or_throw(bytes, alignof(std::max_align_t));
}
void* operator new[](size_t bytes, align_val_t alignment) {
    return take_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, const nothrow_t&) noexcept {
    return take(bytes, alignof(std::max_align_t));
}
void* operator new[](size_t bytes, align_val_t alignment, const nothrow_t&) noexcept {
    return take(bytes, static_cast<size_t>(alignment));
}

void operator delete(void* data) noexcept {
    std::free(data);
}
void operator delete(void* data, size_t) noexcept {
    std::free(data);
}
void operator delete(void* data, align_val_t) noexcept {
    std::free(data);
}
void operator delete(void* data, size_t, align_val_t) noexcept {
    std::free(data);
}
void operator delete(void* data, const nothrow_t&) noexcept {
    std::free(data);
}
void operator delete(void* data, align_val_t, const nothrow_t&) noexcept {
    std::free(data);
}
void operator delete[](void* data) noexcept {
    std::free(data);
}
void operator delete[](void* data, size_t) noexcept {
    std::free(data);
}
void operator delete[](void* data, align_val_t) noexcept {
    std::free(data);
}
void operator delete[](void* data, size_t, align_val_t) noexcept {
    std::free(data);
}
void operator delete[](void* data, const nothrow_t&) noexcept {
    std::free(data);
}
void operator delete[](void* data, align_val_t, const nothrow_t&) noexcept {
    std::free(data);
}
