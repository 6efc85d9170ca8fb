#include "apps/serve/service/photo_job.h"

#include <bit>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>

#include "apps/cli/json_text.h"
#include "apps/serve/wire/base64.h"

namespace yeoul::serve {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors go out as they lie in memory");

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

/// Means over the photos of a request.
StageTimes mean_times(const std::vector<Result>& results) {
    StageTimes mean;
    const double share = 1.0 / static_cast<double>(std::max<size_t>(1, results.size()));
    for (const Result& result : results) {
        mean.decode_ms += share * (result.times.read_ms + result.times.decode_ms);
        mean.preprocess_ms += share * result.times.preprocess_ms;
        mean.queue_ms += share * result.times.queue_ms;
        mean.compute_ms += share * result.times.compute_ms;
    }
    return mean;
}

/// W3C Server Timing: milliseconds; stages of photos are means over the request's.
std::string server_timing(const StageTimes& mean, double receive_ms, double serialize_ms,
                          double total_ms) {
    char text[256];
    std::snprintf(text, sizeof text,
                  "receive;dur=%.3f, decode;dur=%.3f, preprocess;dur=%.3f, queue;dur=%.3f, "
                  "compute;dur=%.3f, serialize;dur=%.3f, total;dur=%.3f",
                  receive_ms, mean.decode_ms, mean.preprocess_ms, mean.queue_ms, mean.compute_ms,
                  serialize_ms, total_ms);
    return text;
}

/// What is left of a request once its photos are with the engine.
struct Errand {
    Context& context;
    std::string target;
    Clock::time_point begun;
    double receive_ms;
    size_t body_bytes;
    std::optional<double> threshold;
    std::stop_token gone;
    Responder respond;
    MakeReply make_reply;
    Answers answers = {};
    std::exception_ptr failure = nullptr; // of the comparison
};

void tell_if_slow(const Errand& errand, const StageTimes& mean, int status, double total_ms) {
    const auto kept_back = errand.context.slow_log.admit(Clock::now(), total_ms);
    if (!kept_back)
        return;
    char text[512];
    std::snprintf(text, sizeof text,
                  "slow request: %.80s answered %d in %.0f ms (receive %.0f, decode %.0f, "
                  "preprocess %.0f, queue %.0f, compute %.0f), %zu photos, %.1f MB; %lld more were "
                  "slow since the last of these lines",
                  errand.target.c_str(), status, total_ms, errand.receive_ms, mean.decode_ms,
                  mean.preprocess_ms, mean.queue_ms, mean.compute_ms, errand.answers.results.size(),
                  static_cast<double>(errand.body_bytes) / 1e6, static_cast<long long>(*kept_back));
    errand.context.options.log(LogLevel::warning, text);
}

/// The refusal of a request that the engine admitted no photo of; else nothing.
std::optional<HttpReply> refused_whole(const std::vector<Result>& results) {
    for (const Result& result : results)
        if (!result.error || result.error->code != ErrorCode::queue_full)
            return std::nullopt;
    const ItemError& error = *results.front().error;
    HttpReply reply = error_reply(429, name(error.code), error.message);
    reply.headers.clear();
    if (error.retry_after_ms > 0) // 0: waiting does not help
        reply.headers.push_back(
            {"Retry-After", std::to_string(std::llround(std::ceil(error.retry_after_ms / 1e3)))});
    return reply;
}

/// Empty when the request did not fail. A form whose photos failed did not.
std::optional<FailureReason> failure_of(const Errand& errand, int status) {
    if (errand.gone.stop_requested())
        return FailureReason::canceled;
    switch (status) {
    case 200:
        return std::nullopt;
    case 429: // the queue was full
    case 504: // the deadline passed
        return FailureReason::rejected;
    case 500:
    case 503:
        return FailureReason::backend;
    default:
        return FailureReason::other;
    }
}

HttpReply finish(const Errand& errand) {
    const Clock::time_point start = Clock::now();
    HttpReply reply;
    try {
        std::optional<HttpReply> refusal = refused_whole(errand.answers.results);
        if (!refusal && errand.failure)
            std::rethrow_exception(errand.failure);
        reply = refusal ? std::move(*refusal) : errand.make_reply(errand.answers);
    } catch (...) {
        reply = reply_to_exception();
    }
    const double serialize_ms = milliseconds(Clock::now() - start);
    const double total_ms = milliseconds(Clock::now() - errand.begun);
    const StageTimes mean = mean_times(errand.answers.results);
    reply.headers.push_back(
        {"Server-Timing", server_timing(mean, errand.receive_ms, serialize_ms, total_ms)});
    errand.context.metrics.photo_request_done(failure_of(errand, reply.status), mean, serialize_ms,
                                              total_ms);
    tell_if_slow(errand, mean, reply.status, total_ms);
    return reply;
}

void look_for_lost_device(Context& context, const std::vector<Result>& results) {
    for (const Result& result : results)
        if (result.error)
            note_lost_device(context, result.error->code, result.error->message);
}

void reply(const std::shared_ptr<const Errand>& errand) {
    errand->respond.make([errand] { return finish(*errand); });
}

void compare(Errand& errand) {
    if (errand.gone.stop_requested())
        return;
    try {
        std::vector<std::vector<float>> vectors; // an empty one where a photo failed
        for (const Result& result : errand.answers.results)
            vectors.push_back(result.embedding);
        errand.answers.duplicates =
            errand.context.engine.load()->duplicates(vectors, *errand.threshold);
    } catch (const Error& error) {
        errand.failure = std::current_exception();
        note_lost_device(errand.context, error.code(), error.what());
    } catch (...) {
        errand.failure = std::current_exception();
    }
}

void require_countable(const Context& context, const PhotoJob& job) {
    const size_t count = job.photos.size(), most = context.options.most_photos;
    YEOUL_REQUIRE(count > 0, "there is no photo in the request");
    YEOUL_REQUIRE(count <= most, "the request has " << count << " photos, may have " << most
                                                    << "; send fewer at once");
}

void require_labels(const Context& context) {
    require_text(context);
    if (!context.labels.labels())
        throw HttpError(409, "no_labels",
                        "there are no labels to tag with; set them with PUT /v1/labels");
}

} // namespace

void run_photo_job(Context& context, Call call, PhotoJob job, MakeReply make_reply) {
    require_countable(context, job);
    if (job.tags > 0)
        require_labels(context);
    const size_t count = job.photos.size();
    Request request{.photos = std::move(job.photos),
                    .normalize = job.normalize,
                    .tags = job.tags,
                    .priority = job.schedule.priority,
                    .stop = call.request.gone};
    if (job.schedule.timeout)
        request.deadline = call.request.begun + *job.schedule.timeout;
    const auto errand =
        std::make_shared<Errand>(Errand{.context = context,
                                        .target = std::move(call.request.head.target),
                                        .begun = call.request.begun,
                                        .receive_ms = call.request.receive_ms,
                                        .body_bytes = call.body_bytes,
                                        .threshold = job.threshold,
                                        .gone = std::move(call.request.gone),
                                        .respond = std::move(call.respond),
                                        .make_reply = std::move(make_reply)});
    auto on_done = [errand](std::vector<Result> results) {
        errand->answers.results = std::move(results);
        errand->context.metrics.photos_done(errand->answers.results);
        look_for_lost_device(errand->context, errand->answers.results);
        if (!errand->threshold)
            return reply(errand);
        errand->context.comparisons.run([errand] {
            compare(*errand);
            reply(errand);
        });
    };
    context.metrics.photos_begun(count);
    try {
        context.engine.load()->submit(std::move(request), std::move(on_done));
    } catch (...) {
        context.metrics.photos_refused(count);
        throw;
    }
}

void note_lost_device(Context& context, ErrorCode code, const std::string& message) {
    if (code != ErrorCode::device_lost ||
        context.state.exchange(ServiceState::lost) == ServiceState::lost)
        return;
    context.options.log(LogLevel::error, message);
    context.options.on_device_lost();
}

void require_all(const std::vector<Result>& results,
                 const std::function<std::string(size_t)>& label) {
    for (size_t i = 0; i < results.size(); ++i)
        if (results[i].error)
            throw Error(results[i].error->code, label(i) + ": " + results[i].error->message);
}

std::string vector_json(const std::vector<float>& vector, bool base64) {
    if (!base64)
        return cli::json_array(vector);
    const auto* bytes = reinterpret_cast<const uint8_t*>(vector.data());
    return '"' + encode_base64({bytes, vector.size() * sizeof(float)}) + '"';
}

} // namespace yeoul::serve
