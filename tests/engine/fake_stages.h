// Stages that are not there, for the scheduler: what a photo is tells them what to do, and every
// vector can be told from every other.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "engine/batching/scheduler.h"

namespace yeoul::test {

using namespace batching;

constexpr int kDim = 2;

enum Fate : uint8_t { computed, bad_image, throws_other, non_finite };

inline Photo photo(int name, Fate fate = computed) {
    std::vector<uint8_t> bytes(1 + sizeof name);
    bytes[0] = fate;
    std::memcpy(bytes.data() + 1, &name, sizeof name);
    return Photo::bytes(std::move(bytes));
}

/// Checks that it is called as promised; what is broken is told at the end, from one thread.
class FakeStages final : public Stages {
public:
    FakeStages(const PolicyConfig& config, const CostTable& table)
        : config_(config), table_(table), slots_(static_cast<size_t>(config.slots)),
          streams_(static_cast<size_t>(config.streams)) {}

    /// The call, counted from 1 over each of the three, that loses the device; or fails its batch.
    int lose_prepare = 0, lose_launch = 0, lose_wait = 0, fail_launch = 0;
    std::function<void()> in_prepare = [] {};
    std::function<void()> in_wait = [] {};
    std::atomic<int> prepares = 0, launches = 0, waits = 0;

    std::string prepare(const Photo& photo, int slot, Result& result) override {
        Slot& place = slots_[static_cast<size_t>(slot)];
        const Use before = place.use.exchange(preparing);
        expect(before != preparing && before != launched, "a slot is one photo's at a time");
        ++preparing_;
        expect(!config_.shared_cores || in_flight_ == 0, "shared cores do one thing at a time");
        in_prepare();
        result.format = "fake";
        std::memcpy(&place.name, photo.encoded.data() + 1, sizeof place.name);
        place.fate = static_cast<Fate>(photo.encoded[0]);
        --preparing_;
        place.use = prepared;
        if (++prepares == lose_prepare)
            throw Error(ErrorCode::device_lost, "lost while a photo was prepared");
        if (place.fate == bad_image)
            throw Error(ErrorCode::bad_image, "bad");
        if (place.fate == throws_other)
            throw std::runtime_error("other");
        return {};
    }

    void launch(int stream, int bucket, std::span<const int> slots, bool) override {
        expect(!config_.shared_cores || preparing_ == 0, "shared cores do one thing at a time");
        expect(!slots.empty() && static_cast<int>(slots.size()) <= table_.batch(bucket),
               "the bucket holds the batch");
        const int call = ++launches;
        if (call == fail_launch)
            throw Error(ErrorCode::out_of_memory, "no room for the graph");
        if (call == lose_launch)
            throw Error(ErrorCode::device_lost, "lost at a launch");
        Stream& lane = streams_[static_cast<size_t>(stream)];
        std::lock_guard lock(lane.mutex);
        expect(lane.batches.size() < (config_.lead_ns > 0 ? 2 : 1), "few batches in flight");
        ++in_flight_;
        Batch batch;
        for (int slot : slots) {
            expect(slots_[static_cast<size_t>(slot)].use.exchange(launched) == prepared,
                   "a slot is prepared before it is launched, once");
            batch.slots.push_back(slot);
        }
        lane.batches.push_back(std::move(batch));
    }

    BatchOutput wait(int stream) override {
        in_wait();
        Stream& lane = streams_[static_cast<size_t>(stream)];
        std::lock_guard lock(lane.mutex);
        expect(!lane.batches.empty(), "waits for what was launched");
        Batch batch = std::move(lane.batches.front());
        lane.batches.pop_front();
        for (int slot : batch.slots) { // the pass reads them until now
            Slot& place = slots_[static_cast<size_t>(slot)];
            batch.embeds.push_back(static_cast<float>(place.name));
            batch.embeds.push_back(1);
            batch.norms.push_back(place.fate == non_finite ? std::numeric_limits<float>::infinity()
                                                           : 1.0f);
            place.use = none;
        }
        lane.answered = std::move(batch);
        --in_flight_;
        if (++waits == lose_wait)
            throw Error(ErrorCode::device_lost, "lost while a batch ran");
        return {lane.answered.embeds.data(), lane.answered.norms.data(), 1};
    }

    std::set<std::string> broken() {
        std::lock_guard lock(mutex_);
        return broken_;
    }

private:
    enum Use { none, preparing, prepared, launched };
    struct Slot {
        std::atomic<Use> use = none;
        int name = 0;
        Fate fate = computed;
    };
    struct Batch {
        std::vector<int> slots;
        std::vector<float> embeds, norms;
    };
    struct Stream {
        std::mutex mutex;
        std::deque<Batch> batches;
        Batch answered;
    };

    void expect(bool good, const char* promise) {
        if (good)
            return;
        std::lock_guard lock(mutex_);
        broken_.insert(promise);
    }

    PolicyConfig config_;
    CostTable table_;
    std::vector<Slot> slots_;
    std::vector<Stream> streams_;
    std::atomic<int> preparing_ = 0, in_flight_ = 0;
    std::mutex mutex_;
    std::set<std::string> broken_;
};

struct Setup {
    PolicyConfig config;
    CostTable table{{{1, 100}, {4, 200}, {8, 300}}};
    Setup() {
        config.decode_workers = 2;
        config.slots = 16;
        config.max_wait_ns = kNever;
    }
    Scheduler::Options options() const { return {config, table, kDim, {}}; }
};

/// Answers of requests, in order of their names; each photo must be answered once.
class Answers {
public:
    explicit Answers(size_t photos) : counts_(photos), results_(photos) {}

    Request request(std::vector<Photo> photos, int first, std::stop_token stop = {}) {
        Request request{.photos = std::move(photos), .stop = stop};
        request.on_item = [this, first](size_t index, const Result&) {
            ++counts_[static_cast<size_t>(first) + index];
        };
        return request;
    }
    Scheduler::OnDone on_done(int first) {
        return [this, first](std::vector<Result> results) {
            for (size_t i = 0; i < results.size(); ++i)
                results_[static_cast<size_t>(first) + i] = std::move(results[i]);
            ++requests_;
        };
    }
    int requests() const { return requests_; }
    bool each_once() const {
        return std::ranges::all_of(counts_, [](const auto& count) { return count == 1; });
    }
    const Result& operator[](int photo) const { return results_[static_cast<size_t>(photo)]; }
    bool is_own(int photo) const {
        const std::vector<float>& embedding = (*this)[photo].embedding;
        return embedding.size() == kDim && embedding[0] == static_cast<float>(photo);
    }

private:
    std::vector<std::atomic<int>> counts_;
    std::vector<Result> results_;
    std::atomic<int> requests_ = 0;
};

inline std::vector<Result> embed(Scheduler& scheduler, Request request) {
    std::promise<std::vector<Result>> promise;
    scheduler.submit(std::move(request),
                     [&](std::vector<Result> r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
}

inline ErrorCode code_of(const Result& result) {
    REQUIRE(result.error.has_value());
    return result.error->code;
}

} // namespace yeoul::test
