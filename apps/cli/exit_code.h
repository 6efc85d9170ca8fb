// What the programs' exit codes mean.
#pragma once

#include <yeoul/error.h>

namespace yeoul::cli {

enum ExitCode {
    kDone = 0,
    kFailed = 1,       // while running
    kUsage = 2,        // flags, arguments, environment variables
    kModel = 3,        // the model cannot be loaded
    kDevice = 4,       // device, driver, library or memory budget
    kSomeFailed = 5,   // done, but some photos failed
    kMissed = 6,       // a comparison missed its threshold
    kSignalBase = 128, // plus the signal that stopped the program
};

constexpr int exit_code(ErrorCode code) {
    switch (code) {
    case ErrorCode::invalid_argument:
        return kUsage;
    case ErrorCode::model:
        return kModel;
    case ErrorCode::device:
    case ErrorCode::device_lost:
    case ErrorCode::out_of_memory:
        return kDevice;
    default:
        return kFailed;
    }
}

} // namespace yeoul::cli
