// The same for tests of programs, which answer in JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "tests/support/precompiled.h"
