// The tensors of these tests: what lies around them may be neither written nor, under
// AddressSanitizer, read.
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

using namespace yeoul;
using namespace yeoul::test;

#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("tensors: AddressSanitizer sees an access beside each of them, to the byte") {
    on_each_backend([](Backend& backend) {
        const auto forbidden = [](const std::byte* address) {
            return __asan_address_is_poisoned(address) != 0;
        };
        std::vector<DeviceTensor> tensors;
        for (int extent : {1, 6, 13}) // the vector moves those that it has
            tensors.emplace_back(backend, DType::f16, std::vector<int>{extent});
        for (const DeviceTensor& tensor : tensors) {
            const auto* const first = tensor.view().as<const std::byte>();
            const std::byte* const end = first + tensor.view().bytes();
            for (int i = 0; i < 2; ++i) {
                CHECK(forbidden(first - 1));
                CHECK(forbidden(first - 256));
                CHECK_FALSE(forbidden(first));
                CHECK_FALSE(forbidden(end - 1));
                CHECK(forbidden(end));
                CHECK(forbidden(end + 255));
                (void)tensor.bytes(); // looks at them, and forbids them again
            }
        }
    });
}
#endif
