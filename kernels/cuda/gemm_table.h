// Which GEMM serves which shape: a readable table, predicted or measured.
#pragma once

namespace yeoul::cuda {

class GemmTable {};

} // namespace yeoul::cuda
