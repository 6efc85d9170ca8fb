// The scheduler's way back: from a batch's output, or an error, to callbacks.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "engine/batching/item_error.h"
#include "engine/batching/scheduler.h"
#include "engine/batching/scheduler_album.h"

namespace yeoul {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

// The `count` likeliest of a row of the batch.
std::vector<Tag> tags_of(const BatchOutput& output, size_t row, int count) {
    std::vector<Tag> tags;
    for (int rank = 0; rank < std::min(count, output.kept); ++rank) {
        const size_t at = row * static_cast<size_t>(output.kept) + static_cast<size_t>(rank);
        if (const int label = output.indices[at]; label >= 0)
            tags.push_back(
                {label, (*output.labels)[static_cast<size_t>(label)], output.probabilities[at]});
    }
    return tags;
}

} // namespace

void Scheduler::answer_batch(const Batch& batch, const BatchOutput& output) {
    if (!batch.error) {
        std::lock_guard lock(stats_mutex_);
        EngineStats::Bucket& bucket = stats_.buckets[batch.bucket];
        ++bucket.replays;
        bucket.photos += static_cast<int64_t>(batch.items.size());
        ++stats_.batches;
        stats_.compute_seconds += output.compute_ms / 1e3;
    }
    for (size_t i = 0; i < batch.items.size(); ++i) {
        Item& item = *batch.items[i];
        if (batch.error) {
            finish(item, error_of(batch.error->code, batch.error->message));
            continue;
        }
        item.album->results[item.index].batch = static_cast<int>(batch.items.size());
        std::optional<ItemError> error;
        try {
            fill(item, output, i);
        } catch (...) {
            error = describe_exception();
        }
        finish(item, std::move(error));
    }
}

// The photo's result, from its row of the batch; what it throws is this photo's error.
void Scheduler::fill(Item& item, const BatchOutput& output, size_t row) const {
    const Album& album = *item.album;
    Result& result = item.album->results[item.index];
    result.times.compute_ms = output.compute_ms;
    const float norm = output.norms[row];
    if (!std::isfinite(norm))
        throw Error(ErrorCode::non_finite,
                    "the vector is not finite: the model's weights are damaged or too large for "
                    "this precision");
    std::vector<Tag> tags;
    if (album.request.tags > 0)
        tags = tags_of(output, row, album.request.tags);
    const float* embed = output.embeds + row * static_cast<size_t>(dim_);
    result.embedding.assign(embed, embed + dim_);
    if (album.request.normalize)
        for (float& value : result.embedding)
            value /= std::max(norm, 1e-12f); // as torch.nn.functional.normalize
    result.tags = std::move(tags);
}

// A callback of the caller, which must not throw: what it throws is its own loss.
void Scheduler::call(const std::function<void()>& callback) const noexcept {
    try {
        try {
            callback();
        } catch (...) {
            if (log_)
                log_(LogLevel::error, "a callback threw: " + describe_exception().message);
        }
    } catch (...) { // not even the log has memory
    }
}

void Scheduler::free_slot(Item& item) {
    if (item.slot >= 0)
        free_slots_.push_back(std::exchange(item.slot, -1));
}

// Without mutex_: it calls back, and the last photo takes the album along.
void Scheduler::finish(Item& item, std::optional<ItemError> error) {
    Album& album = *item.album;
    const size_t index = item.index;
    Result& result = album.results[index];
    result.error = std::move(error);
    StageTimes& times = result.times;
    const double decode_ms = times.read_ms + times.decode_ms + times.preprocess_ms;
    times.total_ms = milliseconds(Clock::now() - album.submitted);
    times.queue_ms = std::max(0.0, times.total_ms - decode_ms - times.compute_ms);
    {
        std::lock_guard lock(stats_mutex_);
        ++stats_.photos;
        if (result.error) {
            ++stats_.failed;
            ++stats_.errors[static_cast<size_t>(result.error->code)];
        }
        stats_.decode_seconds += decode_ms / 1e3;
    }
    std::shared_ptr<Album> self;
    {
        std::lock_guard lock(album.mutex);
        if (album.request.on_item)
            call([&] { album.request.on_item(index, result); });
        if (--album.remaining > 0)
            return;
        self = std::move(album.self);
    }
    {
        std::lock_guard lock(album.stop_mutex);
        album.finished = true;
    }
    call([&] { album.on_done(std::move(album.results)); });
}

} // namespace yeoul
