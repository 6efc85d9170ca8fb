#include "apps/serve/service/photo_json.h"

#include <cstdio>

#include "apps/cli/json_text.h"
#include "apps/serve/service/photo_job.h"

namespace yeoul::serve {
namespace {

std::string numbers(const std::vector<std::pair<const char*, double>>& values) {
    std::string json = "{";
    for (const auto& [key, value] : values) {
        char text[64];
        std::snprintf(text, sizeof text, "%s\"%s\":%.3f", json.size() > 1 ? "," : "", key, value);
        json += text;
    }
    return json + '}';
}

std::string tags_json(const std::vector<Tag>& tags) {
    std::string json = "[";
    for (const Tag& tag : tags) {
        json += (json.size() > 1 ? ",{\"label\":" : "{\"label\":") + json_string(tag.label) +
                ",\"probability\":";
        cli::append_number(json, tag.probability);
        json += '}';
    }
    return json + ']';
}

std::string places_json(const std::vector<int>& places) {
    std::string json = "[";
    for (int place : places)
        json += (json.size() > 1 ? "," : "") + std::to_string(place);
    return json + ']';
}

} // namespace

std::string photo_members(const Result& result, const PhotoShape& shape) {
    const StageTimes& times = result.times;
    std::string json;
    if (shape.embedding)
        json += "\"embedding\":" + vector_json(result.embedding, shape.base64) + ',';
    if (shape.tags)
        json += "\"tags\":" + tags_json(result.tags) + ',';
    return json + "\"width\":" + std::to_string(result.width) +
           ",\"height\":" + std::to_string(result.height) +
           ",\"format\":" + json_string(result.format) +
           ",\"batch\":" + std::to_string(result.batch) + ",\"timing_ms\":" +
           numbers({{"decode", times.read_ms + times.decode_ms},
                    {"preprocess", times.preprocess_ms},
                    {"queue", times.queue_ms},
                    {"compute", times.compute_ms},
                    {"total", times.total_ms}});
}

std::string error_members(const ItemError& error) {
    return "\"error\":{\"code\":" + json_string(name(error.code)) +
           ",\"message\":" + json_string(error.message) + '}';
}

std::string duplicates_member(const Duplicates& duplicates, double threshold) {
    std::string groups, closest = "null";
    for (const std::vector<int>& group : duplicates.groups)
        groups += (groups.empty() ? "" : ",") + places_json(group);
    if (!duplicates.closest.empty()) {
        closest = "{\"photos\":" + places_json(duplicates.closest) + ",\"cosine\":";
        cli::append_number(closest, duplicates.closest_cosine);
        closest += '}';
    }
    std::string json = "\"duplicates\":{\"threshold\":";
    cli::append_number(json, static_cast<float>(threshold));
    return json + ",\"groups\":[" + groups + "],\"closest\":" + closest + '}';
}

} // namespace yeoul::serve
