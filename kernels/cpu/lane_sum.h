// A sum in lanes, for rows of floats.
#pragma once

#include <array>

namespace yeoul::cpu {

/// The sum of term(0) to term(count - 1) in 16 partial sums side by side: without them the compiler
/// may not use vector instructions, since that changes the order of additions.
template <class F>
float lane_sum(int count, F term) {
    constexpr int lanes = 16;
    std::array<float, lanes> partial{};
    int i = 0;
    for (; i + lanes <= count; i += lanes)
        for (int lane = 0; lane < lanes; ++lane)
            partial[lane] += term(i + lane);
    for (int lane = 0; i < count; ++i, ++lane)
        partial[lane] += term(i);
    float total = 0;
    for (float value : partial)
        total += value;
    return total;
}

} // namespace yeoul::cpu
