// libjpeg and libpng report errors by longjmp, which must not cross a C++ frame with destructors.
// So each call into them is its own small function that jumps no further than here, and the
// exception is thrown from C++ afterwards.
#pragma once

#include <csetjmp>

namespace yeoul::loader {

struct LongJump {
    std::jmp_buf target;
    char message[256] = {}; // what the library said before it jumped
};

/// False when `call` ended in a jump. `call` may hold references and plain values only, and must
/// make no C++ object with a destructor.
template <class Call>
[[gnu::noinline]] bool completes(LongJump& jump, const Call& call) {
    if (setjmp(jump.target) != 0)
        return false;
    call();
    return true;
}

} // namespace yeoul::loader
