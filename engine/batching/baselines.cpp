// The policies that products use, as arms: first come first served, and one rule for the batch.
#include <algorithm>

#include "engine/batching/simulator.h"

namespace yeoul::batching {
namespace {

enum class Rule { single, timeout, greedy, greedy_drop, nexus };

class Baseline : public Arm {
public:
    Baseline(Rule rule, const ArmSetup& setup)
        : rule_(rule), setup_(setup), idle_cores_(setup.cores), most_(setup.table.largest()) {
        if (rule == Rule::single)
            most_ = 1;
        if (rule == Rule::nexus) // the best rate among those that run twice within the target
            most_ = setup.table.batch(target_bucket());
    }

    bool admit(int64_t now, uint32_t first, int count, int64_t deadline) override {
        for (uint32_t photo = first; photo < first + static_cast<uint32_t>(count); ++photo) {
            deadlines_.push_back(deadline);
            (setup_.cores > 0 ? waiting_ : ready_).push(photo, now);
        }
        return true;
    }
    void decoded(int64_t now, uint32_t photo) override {
        ++idle_cores_;
        ready_.push(photo, now);
    }
    void batch_done(int64_t) override { running_ = false; }

    Action next(int64_t now) override {
        Action action;
        if (!running_ && !ready_.empty() && launch(now, action))
            return action;
        if (idle_cores_ > 0 && !waiting_.empty()) {
            action.photo = waiting_.pop();
            const int64_t finish = now + setup_.decode_ns + setup_.table.ns(0);
            action.kind =
                drops() && deadlines_[action.photo] < finish ? Action::drop : Action::decode;
            idle_cores_ -= action.kind == Action::decode;
        }
        return action;
    }

private:
    struct Fifo {
        std::vector<uint32_t> photos;
        std::vector<int64_t> since;
        size_t head = 0;
        bool empty() const { return head == photos.size(); }
        int size() const { return static_cast<int>(photos.size() - head); }
        void push(uint32_t photo, int64_t now) {
            photos.push_back(photo);
            since.push_back(now);
        }
        uint32_t pop() { return photos[head++]; }
    };

    bool drops() const { return rule_ == Rule::greedy_drop || rule_ == Rule::nexus; }

    int target_bucket() const {
        const CostTable& table = setup_.table;
        int best = 0;
        for (int bucket = 1; bucket < table.size(); ++bucket)
            if (2 * table.ns(bucket) <= setup_.target_ns &&
                table.buckets()[bucket].rate() > table.buckets()[best].rate())
                best = bucket;
        return best;
    }

    // Photos that go into one batch now: all that wait, up to the largest.
    int wanted() const { return std::min(ready_.size(), most_); }

    bool launch(int64_t now, Action& action) {
        const CostTable& table = setup_.table;
        const auto too_late = [&](int bucket) {
            return deadlines_[ready_.photos[ready_.head]] < now + table.ns(bucket);
        };
        if (drops() && too_late(rule_ == Rule::nexus ? table.bucket_for(wanted()) : 0)) {
            action.kind = Action::drop;
            action.photo = ready_.pop();
            return true;
        }
        if (rule_ == Rule::timeout && ready_.size() < most_) {
            const int64_t due = ready_.since[ready_.head] + setup_.timeout_ns;
            if (now < due) {
                action.until_ns = due;
                return false;
            }
        }
        int photos = wanted();
        if (rule_ == Rule::greedy_drop)
            while (photos > 1 && too_late(table.bucket_for(photos)))
                --photos;
        action.kind = Action::launch;
        action.bucket = table.bucket_for(photos);
        action.batch = {ready_.photos.data() + ready_.head, static_cast<size_t>(photos)};
        ready_.head += static_cast<size_t>(photos);
        running_ = true;
        return true;
    }

    Rule rule_;
    const ArmSetup& setup_;
    Fifo waiting_, ready_;
    std::vector<int64_t> deadlines_; // by photo
    int idle_cores_, most_;
    bool running_ = false;
};

} // namespace

std::unique_ptr<Arm> make_baseline(std::string_view name, const ArmSetup& setup) {
    for (const auto& [known, rule] : {std::pair{"single", Rule::single},
                                      {"best-timeout", Rule::timeout},
                                      {"greedy", Rule::greedy},
                                      {"greedy-drop", Rule::greedy_drop},
                                      {"nexus", Rule::nexus}})
        if (name == known)
            return std::make_unique<Baseline>(rule, setup);
    throw Error(ErrorCode::invalid_argument, "no arm is called '" + std::string(name) + "'");
}

} // namespace yeoul::batching
