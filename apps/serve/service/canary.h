// A photo that is sent through a new engine before anybody else's.
#pragma once

#include "apps/serve/service/photo_engine.h"

namespace yeoul::serve {

/// Embeds a built-in photo twice and waits. Throws `Error` when it fails or when the two vectors
/// differ: a device that answers differently from one second to the next serves nobody.
void check_canary(PhotoEngine& engine);

} // namespace yeoul::serve
