#include "apps/serve/http/message.h"

#include <algorithm>
#include <atomic>
#include <new>

#include <nlohmann/json.hpp>

namespace yeoul::serve {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

} // namespace

std::string_view Head::header(std::string_view name) const {
    for (const Header& one : headers)
        if (same_name(one.name, name))
            return one.value;
    return {};
}

std::string json_string(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

HttpReply error_reply(int status, std::string_view code, std::string_view message) {
    HttpReply reply{.status = status};
    // Joined by hand: the destructor of nlohmann's objects, unlike that of its strings, allocates,
    // and memory may have run out.
    reply.body = "{\"code\":" + json_string(code) + ",\"error\":" + json_string(message) + '}';
    if (status == 429 || status == 503)
        reply.headers.push_back({"Retry-After", "1"});
    return reply;
}

HttpReply out_of_memory_reply() {
    return error_reply(503, name(ErrorCode::out_of_memory), "out of memory; try again later");
}

int http_status(ErrorCode code) {
    switch (code) {
    case ErrorCode::bad_image:
    case ErrorCode::invalid_argument:
        return 400;
    case ErrorCode::not_found:
        return 404;
    case ErrorCode::image_too_large:
        return 413;
    case ErrorCode::unsupported_image:
        return 415;
    case ErrorCode::queue_full:
        return 429;
    case ErrorCode::out_of_memory:
    case ErrorCode::device_lost:
    case ErrorCode::device:
    case ErrorCode::cancelled: // the engine is closing, or nobody is there to read this
        return 503;
    case ErrorCode::deadline_exceeded:
        return 504;
    case ErrorCode::non_finite:
    case ErrorCode::model:
    case ErrorCode::io:
    case ErrorCode::internal:
        return 500;
    }
    return 500;
}

HttpReply reply_to_exception() {
    try {
        throw;
    } catch (const HttpError& error) {
        return error_reply(error.status(), error.code(), error.what());
    } catch (const Error& error) {
        return error_reply(http_status(error.code()), name(error.code()), error.what());
    } catch (const std::bad_alloc&) {
        return out_of_memory_reply();
    } catch (const std::exception& error) {
        return error_reply(500, name(ErrorCode::internal), error.what());
    }
}

struct Responder::Once {
    std::function<void(Make)> post;
    std::atomic<bool> called = false;

    ~Once() {
        if (called)
            return;
        try {
            post([] {
                return error_reply(500, name(ErrorCode::internal),
                                   "the request was dropped; please report this");
            });
        } catch (...) { // what `post` holds knows that nobody answered
        }
    }
};

Responder::Responder(std::function<void(Make)> post) : once_(std::make_shared<Once>()) {
    once_->post = std::move(post);
}

void Responder::make(Make make) const {
    if (once_->called.exchange(true))
        return;
    // What it holds goes with this call: other copies may live longer than the connection.
    const std::function<void(Make)> post = std::exchange(once_->post, nullptr);
    try {
        post(std::move(make));
    } catch (const std::bad_alloc&) {
        post(out_of_memory_reply);
    }
}

void Responder::send(HttpReply reply) const {
    make([reply = std::move(reply)]() mutable { return std::move(reply); });
}

} // namespace yeoul::serve
