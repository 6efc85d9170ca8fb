// What KServe V2 says about the server and its model.
#pragma once

#include "apps/serve/service/context.h"

namespace yeoul::serve {

// As the model's inputs and outputs are called on the wire; the output as transformers calls it.
constexpr const char* kInputName = "IMAGE";
constexpr const char* kOutputName = "image_embeds";

/// Throws `HttpError` 404 when the route names another model, or a version other than 1.
void require_version(const Context& context, const Call& call);

std::vector<Route> kserve_model_routes();

} // namespace yeoul::serve
