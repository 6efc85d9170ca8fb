// What the making of an op may know of its device.
#pragma once

#include "kernels/cpu/onednn.h"
#include "kernels/device.h"

namespace yeoul::cpu {

struct Context {
    Onednn onednn;
    Device& memory; // what weights are allocated from; it may be dry
};

} // namespace yeoul::cpu
