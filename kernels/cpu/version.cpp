#include <dnnl.hpp>

#include "kernels/ops.h"

namespace yeoul {

std::vector<std::string> cpu_backend_libraries() {
    const dnnl_version_t* version = dnnl_version();
    return {"oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) +
            "." + std::to_string(version->patch)};
}

} // namespace yeoul
