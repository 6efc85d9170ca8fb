// A photo's answer as JSON, for /v1.
#pragma once

#include <string>

#include <yeoul/engine.h>

namespace yeoul::serve {

/// What of a result goes out.
struct PhotoShape {
    bool embedding = true, base64 = false, tags = false;
};

/// The members of one photo's answer, without braces.
std::string photo_members(const Result& result, const PhotoShape& shape);
/// The same of one that failed.
std::string error_members(const ItemError& error);
/// The member "duplicates"; photos are named by their place in the request, from 0 on.
std::string duplicates_member(const Duplicates& duplicates, double threshold);

} // namespace yeoul::serve
