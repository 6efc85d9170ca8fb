// Photos of one request, on their way through the engine and into a reply: the same for every
// protocol.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <yeoul/engine.h>

#include "apps/serve/service/context.h"
#include "apps/serve/service/parameters.h"

namespace yeoul::serve {

struct PhotoJob {
    std::vector<Photo> photos;
    bool normalize = false;
    int tags = 0;                    // labels for each photo
    std::optional<double> threshold; // of near-duplicates; empty: they are not looked for
    Schedule schedule = {};
};

struct Answers {
    std::vector<Result> results; // one per photo, in order
    Duplicates duplicates;       // among the photos that did not fail
};

/// Runs on the connection's thread; what it throws becomes the reply.
using MakeReply = std::function<HttpReply(const Answers& answers)>;

/// Submits the photos and answers the call when they are done; with a 429 when the engine refused
/// them together. Throws `Error` for a job without photos or with too many, and for tags when there
/// are no labels.
void run_photo_job(Context& context, Call call, PhotoJob job, MakeReply make_reply);

/// Throws the error of the first photo that failed, where a protocol has no place for errors of
/// single photos. `label` names a photo: "input 3".
void require_all(const std::vector<Result>& results,
                 const std::function<std::string(size_t)>& label);

/// "[0.1,-2]" or, in base64, "\"zczMPQ==\"" of little-endian float32.
std::string vector_json(const std::vector<float>& vector, bool base64);

} // namespace yeoul::serve
