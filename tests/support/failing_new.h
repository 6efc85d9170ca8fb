// Memory of the host that runs out when a test says so. A program that has failing_new.cpp takes
// all its `new` from there.
#pragma once

#include <cstdint>

namespace yeoul::test {

/// While it lives, the `nth` allocation from now on, from 1, throws std::bad_alloc, and those after
/// it: `times` in all. One at a time.
class FailingNew {
public:
    enum Threads { this_one, others };
    static constexpr int64_t kAlways = INT64_MAX;
    FailingNew(int64_t nth, Threads threads, int64_t times = 1);
    ~FailingNew();
    FailingNew(const FailingNew&) = delete;
    FailingNew& operator=(const FailingNew&) = delete;

    /// Whether there were so many.
    bool failed() const;
};

} // namespace yeoul::test
