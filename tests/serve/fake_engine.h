// An engine without a model: its vectors are made of the photos' bytes, and it can hold them back.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "apps/serve/service/photo_engine.h"

namespace yeoul::test {

class FakeEngine : public serve::PhotoEngine {
public:
    static constexpr int kDim = 4;

    FakeEngine() {
        info_.family = "fake";
        info_.dim = kDim;
        device_.kind = "fake";
    }

    /// (size, sum of the bytes, first byte, normalized?) of the photo.
    static std::vector<float> vector_of(const Photo& photo, bool normalize) {
        const std::vector<uint8_t>& bytes = photo.encoded.empty() ? photo.pixels : photo.encoded;
        const int sum = std::accumulate(bytes.begin(), bytes.end(), 0);
        return {static_cast<float>(bytes.size()), static_cast<float>(sum),
                static_cast<float>(bytes.empty() ? 0 : bytes[0]), normalize ? 1.0f : 0.0f};
    }

    void submit(Request request, std::function<void(std::vector<Result>)> on_done) override {
        if (refuse_next_) {
            const ErrorCode code = *std::exchange(refuse_next_, std::nullopt);
            throw Error(code, "the fake engine refuses");
        }
        last_submitter_ = std::this_thread::get_id();
        last_priority_ = request.priority;
        last_deadline_ = request.deadline;
        Held held{std::move(request), std::move(on_done)};
        std::unique_lock lock(mutex_);
        if (hold_) {
            held_.push_back(std::move(held));
            lock.unlock();
            changed_.notify_all();
            return;
        }
        lock.unlock();
        answer(held);
    }
    bool ready() const override { return true; }
    bool has_text() const override { return has_text_; }
    /// Blocks while `block_labels` is in force. A label "bad" is refused, and a
    /// first one "lost" loses the device.
    void set_labels(const Labels& labels) override {
        std::unique_lock lock(mutex_);
        setting_labels_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !block_labels_; });
        setting_labels_ = false;
        if (labels.names.front() == "lost")
            throw Error(ErrorCode::device_lost, "the fake device is lost");
        for (size_t i = 0; i < labels.names.size(); ++i)
            YEOUL_REQUIRE(labels.names[i] != "bad", "label " << i + 1 << ", \"bad\": is bad");
        labels_ = labels.names;
    }
    /// Vectors that are equal are alike; two that are not have a cosine of a half.
    Duplicates duplicates(const std::vector<std::vector<float>>& embeddings,
                          double threshold) override {
        if (refuse_comparison_)
            throw Error(ErrorCode::out_of_memory, "no memory to compare");
        last_threshold_ = threshold;
        std::map<std::vector<float>, std::vector<int>> equal;
        std::vector<int> good;
        for (int i = 0; i < static_cast<int>(embeddings.size()); ++i)
            if (!embeddings[i].empty()) {
                equal[embeddings[i]].push_back(i);
                good.push_back(i);
            }
        Duplicates found;
        for (const auto& [vector, members] : equal)
            if (members.size() > 1)
                found.groups.push_back(members);
        std::sort(found.groups.begin(), found.groups.end());
        if (good.size() < 2)
            return found;
        found.closest = found.groups.empty()
                            ? std::vector<int>{good[0], good[1]}
                            : std::vector<int>{found.groups[0][0], found.groups[0][1]};
        found.closest_cosine = found.groups.empty() ? 0.5f : 1.0f;
        return found;
    }
    const ModelInfo& info() const override { return info_; }
    const DeviceInfo& device() const override { return device_; }
    EngineStats stats() const override {
        const std::lock_guard lock(mutex_);
        return stats_;
    }

    /// What is submitted from here on waits for `release`.
    void hold() {
        const std::lock_guard lock(mutex_);
        hold_ = true;
    }
    void wait_for_held(size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return held_.size() >= count; });
    }
    /// Answers from the calling thread what is held; what comes later is answered at once.
    void release() {
        std::vector<Held> all;
        {
            const std::lock_guard lock(mutex_);
            hold_ = false;
            all.swap(held_);
        }
        for (Held& held : all)
            answer(held);
    }
    void hold_memory(std::vector<MemoryUse> memory) {
        const std::lock_guard lock(mutex_);
        stats_.memory = std::move(memory);
    }
    /// Waits until the caller of a held request has given it up.
    void wait_until_cancelled(size_t index) {
        std::stop_token token;
        {
            const std::lock_guard lock(mutex_);
            token = held_.at(index).request.stop;
        }
        std::mutex mutex;
        std::condition_variable_any stopped;
        std::unique_lock lock(mutex);
        stopped.wait(lock, token, [] { return false; });
    }
    /// Requests are refused whole from here on, as by a full queue.
    void fill(std::optional<double> retry_after_ms) { full_ = retry_after_ms; }
    std::thread::id last_submitter() const { return last_submitter_; }
    Priority last_priority() const { return last_priority_; }
    std::optional<std::chrono::steady_clock::time_point> last_deadline() const {
        return last_deadline_;
    }
    void be_a_gpu(std::string pci_address) { device_.pci_address = std::move(pci_address); }
    void without_text() { has_text_ = false; }
    void block_labels() {
        const std::lock_guard lock(mutex_);
        block_labels_ = true;
    }
    void wait_until_setting_labels() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return setting_labels_; });
    }
    void unblock_labels() {
        {
            const std::lock_guard lock(mutex_);
            block_labels_ = false;
        }
        changed_.notify_all();
    }
    void refuse_comparison() { refuse_comparison_ = true; }
    double last_threshold() const { return last_threshold_; }
    /// `submit` throws once.
    void refuse_next(ErrorCode code) { refuse_next_ = code; }

private:
    struct Held {
        Request request;
        std::function<void(std::vector<Result>)> on_done;
    };

    /// A photo that begins with "bad ", "big " or "lost" fails.
    static std::optional<ItemError> error_of(const Photo& photo) {
        const std::string start(photo.encoded.begin(),
                                photo.encoded.begin() + std::min<size_t>(4, photo.encoded.size()));
        if (start == "bad ")
            return ItemError{ErrorCode::bad_image, "the bytes are no image"};
        if (start == "big ")
            return ItemError{ErrorCode::image_too_large, "the photo has too many pixels"};
        if (start == "late")
            return ItemError{ErrorCode::deadline_exceeded, "the deadline passed"};
        if (start == "full")
            return ItemError{ErrorCode::queue_full, "the queue is full"};
        if (start == "lost")
            return ItemError{ErrorCode::device_lost, "the device is lost"};
        return std::nullopt;
    }

    void answer(Held& held) {
        std::vector<Result> results;
        const int tags = std::min(held.request.tags, static_cast<int>(labels_.size()));
        for (const Photo& photo : held.request.photos) {
            Result result;
            result.error = error_of(photo);
            if (full_)
                result.error = ItemError{ErrorCode::queue_full, "the queue is full", *full_};
            if (held.request.stop.stop_requested())
                result.error = ItemError{ErrorCode::cancelled, "the request was cancelled"};
            if (!result.error)
                result.embedding = vector_of(photo, held.request.normalize);
            for (int i = 0; !result.error && i < tags; ++i)
                result.tags.push_back({i, labels_[i], 1.0f / static_cast<float>(2 << i)});
            result.format = "fake";
            result.width = 2;
            result.height = 3;
            result.batch = result.error ? 0 : 1;
            result.times.compute_ms = 0.5;
            results.push_back(std::move(result));
        }
        {
            const std::lock_guard lock(mutex_);
            stats_.photos += static_cast<int64_t>(results.size());
            ++stats_.batches;
        }
        held.on_done(std::move(results));
    }

    ModelInfo info_;
    DeviceInfo device_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool hold_ = false;
    std::vector<Held> held_;
    EngineStats stats_;
    std::optional<ErrorCode> refuse_next_;
    std::optional<double> full_;
    bool has_text_ = true, block_labels_ = false, setting_labels_ = false;
    std::vector<std::string> labels_;
    bool refuse_comparison_ = false;
    double last_threshold_ = 0;
    std::thread::id last_submitter_;
    Priority last_priority_ = Priority::interactive;
    std::optional<std::chrono::steady_clock::time_point> last_deadline_;
};

} // namespace yeoul::test
