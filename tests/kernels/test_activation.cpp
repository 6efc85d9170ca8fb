// The activations that end the CUDA backend's GEMMs, as plain functions of the emulator.
#include <cmath>
#include <string>

#include "kernels/cuda/device/activation.cuh"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct Elements {
    Activation activation;
    const char* name;
    float (*activate)(float);
};
constexpr Elements kCases[] = {
    {Activation::none, "none", cuda::activate<Activation::none>},
    {Activation::quick_gelu, "quick_gelu", cuda::activate<Activation::quick_gelu>},
    {Activation::gelu, "gelu", cuda::activate<Activation::gelu>},
    {Activation::gelu_tanh, "gelu_tanh", cuda::activate<Activation::gelu_tanh>},
    {Activation::relu, "relu", cuda::activate<Activation::relu>},
};

// Every finite value of fp16.
std::vector<float> halves() {
    std::vector<std::byte> bytes;
    for (int bits = 0; bits < 0x10000; ++bits)
        if ((bits & 0x7c00) != 0x7c00) {
            bytes.push_back(static_cast<std::byte>(bits & 255));
            bytes.push_back(static_cast<std::byte>(bits >> 8));
        }
    return decode(bytes, DType::f16);
}

} // namespace

TEST_CASE("activation: equals the formula at every value of fp16") {
    const auto x = halves();
    REQUIRE(x.size() == 63488);
    for (const Elements& c : kCases) {
        INFO(c.name);
        std::vector<float> y;
        std::vector<double> reference, tolerance;
        for (float value : x) {
            y.push_back(c.activate(value));
            reference.push_back(test::activate(c.activation, value));
            // The fast exponential is off by 2 + 1.2 |argument| units of 2^-23 (CUDA programming
            // guide), its argument and the quotient by some more. 1 + erf(x) cancels for negative
            // x: there the error is that of a value near 1.
            const double argument =
                c.activation == Activation::gelu_tanh
                    ? 1.6 * (std::abs(value) + 0.045 * std::pow(std::abs(value), 3))
                    : 1.702 * std::abs(value);
            const double exponential = 0x1p-23 * (8 + 3 * argument) * std::abs(reference.back());
            const double cancelled = 0x1p-22 * std::abs(value);
            switch (c.activation) {
            case Activation::quick_gelu:
            case Activation::gelu_tanh:
                // And what fp32 rounds to zero; and 1 + tanh(x), which cancels in the reference.
                tolerance.push_back(exponential + 0x1p-120 + 0x1p-52 * std::abs(value));
                break;
            case Activation::gelu:
                tolerance.push_back(cancelled);
                break;
            case Activation::none:
            case Activation::relu:
                tolerance.push_back(0);
            }
        }
        check_close(y, reference, tolerance);
    }
}

TEST_CASE("activation: NaN stays NaN, infinity stays infinity, and large values are 0 or x") {
    for (const Elements& c : kCases) {
        INFO(c.name);
        CHECK(std::isnan(c.activate(NAN)));
        CHECK(std::isnan(c.activate(-NAN)));
        CHECK(c.activate(INFINITY) == INFINITY);
        for (float large : {100.0F, 65504.0F, 1e30F}) {
            CHECK(c.activate(large) == large);
            if (c.activation != Activation::none)
                CHECK(c.activate(-large) == 0);
        }
    }
}
