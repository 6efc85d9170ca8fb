#include "engine/batching/simulator.h"

#include <algorithm>

namespace yeoul::batching {
namespace {

/// The engine's policy. Nothing of it is here: only numbers for handles.
class YeoulArm : public Arm {
public:
    explicit YeoulArm(const ArmSetup& setup)
        : policy_(config(setup), setup.table), decode_ns_(setup.cores > 0 ? setup.decode_ns : 0) {}

    bool admit(int64_t now, uint32_t first, int count, int64_t deadline) override {
        requests_.clear();
        for (uint32_t photo = first; photo < first + static_cast<uint32_t>(count); ++photo)
            requests_.push_back({photo, 0, decode_ns_});
        const Admission admission =
            policy_.admit(now, {Priority::interactive, deadline, requests_});
        ids_.resize(first + static_cast<size_t>(count));
        std::copy(admission.ids.begin(), admission.ids.end(), ids_.begin() + first);
        return admission.accepted;
    }
    void decoded(int64_t now, uint32_t photo) override { policy_.decoded(now, ids_[photo], true); }
    void batch_done(int64_t now) override { policy_.batch_done(now, 0); }

    Action next(int64_t now) override {
        const Decision decision = policy_.next(now);
        Action action;
        action.until_ns = decision.until_ns;
        action.photo = static_cast<uint32_t>(decision.item.tag);
        switch (decision.kind) {
        case Decision::wait:
            break;
        case Decision::start_decode:
            action.kind = Action::decode;
            break;
        case Decision::answer:
            action.kind = Action::drop;
            break;
        case Decision::launch:
            action.kind = Action::launch;
            action.bucket = decision.bucket;
            batch_.clear();
            for (const Decision::Item& item : decision.batch)
                batch_.push_back(static_cast<uint32_t>(item.tag));
            action.batch = batch_;
        }
        return action;
    }

private:
    static PolicyConfig config(const ArmSetup& setup) {
        PolicyConfig config;
        config.decode_workers = std::max(1, setup.cores);
        config.latency_target_ns = setup.target_ns;
        config.max_wait_ns = kNever; // refusals would hide what the queue does
        return config;
    }

    Policy policy_;
    int64_t decode_ns_;
    std::vector<ItemId> ids_; // by photo
    std::vector<ItemRequest> requests_;
    std::vector<uint32_t> batch_;
};

class Simulation {
public:
    Simulation(Arm& arm, const ArmSetup& setup, const std::vector<AlbumArrival>& arrivals)
        : arm_(arm), setup_(setup), arrivals_(arrivals) {
        size_t photos = 0;
        for (const AlbumArrival& arrival : arrivals)
            photos += static_cast<size_t>(arrival.photos);
        photos_.reserve(photos);
        latencies_.reserve(photos);
        albums_.reserve(arrivals.size());
        cores_.resize(static_cast<size_t>(setup.cores));
    }

    SimulationResult run() {
        while (next_arrival_ < arrivals_.size() || unfinished_ > 0) {
            now_ = next_event();
            require(now_ != kNever, "photos are left, and nothing will happen");
            take_events();
            wake_ = kNever;
            while (act(arm_.next(now_))) {
            }
        }
        return summary();
    }

private:
    enum State : uint8_t { waiting, decoding, ready, running, finished };
    struct Photo {
        uint32_t album;
        State state;
    };
    struct Album {
        int64_t at;
        int left;
        bool whole = true; // no photo of it was dropped
    };
    struct Core {
        int64_t until = kNever;
        uint32_t photo = 0;
    };

    static void require(bool good, const char* what) {
        if (!good)
            throw Error(ErrorCode::internal, std::string("simulation: ") + what);
    }

    int64_t next_event() const {
        int64_t soonest = std::min(wake_, batch_until_);
        if (next_arrival_ < arrivals_.size())
            soonest = std::min(soonest, arrivals_[next_arrival_].at_ns);
        for (const Core& core : cores_)
            soonest = std::min(soonest, core.until);
        return soonest;
    }

    void take_events() {
        if (batch_until_ == now_) {
            batch_until_ = kNever;
            for (uint32_t photo : batch_)
                finish(photo, true);
            arm_.batch_done(now_);
        }
        for (Core& core : cores_)
            if (core.until == now_) {
                core.until = kNever;
                photos_[core.photo].state = ready;
                arm_.decoded(now_, core.photo);
            }
        for (; next_arrival_ < arrivals_.size() && arrivals_[next_arrival_].at_ns <= now_;
             ++next_arrival_)
            arrive(arrivals_[next_arrival_]);
    }

    void arrive(const AlbumArrival& arrival) {
        const auto first = static_cast<uint32_t>(photos_.size());
        const auto album = static_cast<uint32_t>(albums_.size());
        albums_.push_back({now_, arrival.photos});
        photos_.insert(photos_.end(), static_cast<size_t>(arrival.photos),
                       {album, setup_.cores > 0 ? waiting : ready});
        unfinished_ += arrival.photos;
        const int64_t deadline = setup_.deadlines ? now_ + setup_.target_ns : kNever;
        if (arm_.admit(now_, first, arrival.photos, deadline))
            return;
        result_.refused += arrival.photos;
        for (uint32_t photo = first; photo < photos_.size(); ++photo)
            finish(photo, false);
    }

    bool act(const Action& action) {
        switch (action.kind) {
        case Action::wait:
            require(action.until_ns > now_, "an arm waits for the past");
            wake_ = action.until_ns;
            return false;
        case Action::drop:
            ++result_.dropped;
            finish(action.photo, false);
            return true;
        case Action::decode: {
            const auto core = std::find_if(cores_.begin(), cores_.end(),
                                           [](const Core& other) { return other.until == kNever; });
            require(core != cores_.end(), "a photo is decoded without a core");
            require(photos_[action.photo].state == waiting, "a photo is decoded twice");
            photos_[action.photo].state = decoding;
            *core = {now_ + setup_.decode_ns, action.photo};
            decode_busy_ns_ += setup_.decode_ns;
            return true;
        }
        case Action::launch:
            break;
        }
        const int rows = setup_.table.batch(action.bucket);
        const auto photos = static_cast<int>(action.batch.size());
        require(batch_until_ == kNever, "two batches at a time");
        require(photos > 0 && photos <= rows, "a batch that its bucket does not hold");
        for (uint32_t photo : action.batch) {
            require(photos_[photo].state == ready, "a photo is computed twice, or not decoded");
            photos_[photo].state = running;
        }
        batch_.assign(action.batch.begin(), action.batch.end());
        batch_until_ = now_ + setup_.table.ns(action.bucket);
        device_busy_ns_ += setup_.table.ns(action.bucket);
        rows_ += rows;
        ++result_.batches;
        return true;
    }

    void finish(uint32_t index, bool served) {
        Photo& photo = photos_[index];
        require(photo.state != finished, "a photo is answered twice");
        photo.state = finished;
        --unfinished_;
        Album& album = albums_[photo.album];
        const int64_t latency = now_ - album.at;
        album.whole &= served;
        if (served) {
            result_.in_time += latency <= setup_.target_ns;
            latencies_.push_back(latency);
        }
        if (--album.left == 0 && album.whole)
            album_times_.push_back(latency);
    }

    static Percentiles percentiles(std::vector<int64_t>& times) {
        if (times.empty())
            return {};
        const auto at = [&times](double share) {
            const auto place = static_cast<size_t>(share * static_cast<double>(times.size() - 1));
            std::nth_element(times.begin(), times.begin() + static_cast<ptrdiff_t>(place),
                             times.end());
            return static_cast<double>(times[place]) / 1e6;
        };
        return {at(0.5), at(0.95), at(0.99)};
    }

    SimulationResult summary() {
        SimulationResult& result = result_;
        result.photos = static_cast<int64_t>(photos_.size());
        const double seconds = std::max(1e-9, static_cast<double>(now_) / 1e9);
        const auto served = static_cast<double>(latencies_.size());
        result.offered_per_second = arrivals_.size() < 2 || arrivals_.back().at_ns == 0
                                        ? 0
                                        : static_cast<double>(result.photos) * 1e9 /
                                              static_cast<double>(arrivals_.back().at_ns);
        result.served_per_second = served / seconds;
        result.photo = percentiles(latencies_);
        result.album = percentiles(album_times_);
        if (result.batches > 0) {
            result.mean_batch = served / static_cast<double>(result.batches);
            result.padding = 1 - served / static_cast<double>(rows_);
        }
        result.device_busy = static_cast<double>(device_busy_ns_) / 1e9 / seconds;
        result.device_need = result.served_per_second / setup_.table.best_per_second();
        if (setup_.cores > 0)
            result.decode_busy =
                static_cast<double>(decode_busy_ns_) / 1e9 / seconds / setup_.cores;
        return result;
    }

    Arm& arm_;
    const ArmSetup& setup_;
    const std::vector<AlbumArrival>& arrivals_;
    size_t next_arrival_ = 0;
    int64_t now_ = 0, wake_ = kNever, batch_until_ = kNever;
    int64_t unfinished_ = 0, decode_busy_ns_ = 0, device_busy_ns_ = 0, rows_ = 0;
    std::vector<Photo> photos_;
    std::vector<Album> albums_;
    std::vector<Core> cores_;
    std::vector<uint32_t> batch_;
    std::vector<int64_t> latencies_, album_times_;
    SimulationResult result_;
};

} // namespace

const std::vector<std::string> kArms = {"single",      "best-timeout", "greedy",
                                        "greedy-drop", "nexus",        "yeoul"};

std::unique_ptr<Arm> make_arm(std::string_view name, const ArmSetup& setup) {
    if (name == "yeoul")
        return std::make_unique<YeoulArm>(setup);
    return make_baseline(name, setup);
}

SimulationResult simulate(Arm& arm, const ArmSetup& setup,
                          const std::vector<AlbumArrival>& arrivals) {
    return Simulation(arm, setup, arrivals).run();
}

} // namespace yeoul::batching
