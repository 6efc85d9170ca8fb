#include "engine/batching/batch_choice.h"

#include <algorithm>
#include <cmath>

namespace yeoul::batching {
namespace {

constexpr double kRestLate = 1.25, kArrivalsLate = 1.1, kWorthBeingLate = 1.05;

class Chooser {
public:
    Chooser(const CostTable& table, std::span<const Ready> queue, int64_t now, const Outlook& seen)
        : table_(table), queue_(queue), count_(static_cast<int>(queue.size())), now_(now),
          outlook_(seen) {}

    Choice choose() const {
        Plan best = all_in_time();
        int best_late = -1; // not known yet
        const double least_rate = kWorthBeingLate * best.rate;
        double best_score = 0;
        for (int bucket = 0; bucket < table_.size(); ++bucket) {
            const Plan plan = some_late(bucket);
            if (plan.late > 0 && plan.choice.photos > 0 && plan.rate > least_rate) {
                if (best_late < 0)
                    best_late = late_after(best, count_);
                const double score = scored(plan);
                if (score > best_score && late_after(plan, best_late) <= best_late) {
                    best.choice = plan.choice;
                    best_score = score;
                }
            }
            if (table_.batch(bucket) >= count_)
                break;
        }
        return best.choice;
    }

private:
    struct Plan {
        Choice choice;
        double rate = 0;
        int late = 0; // of those scanned
    };

    int64_t finish(int bucket) const { return now_ + table_.ns(bucket); }

    Plan all_in_time() const {
        Plan best;
        double best_score = 0;
        int64_t earliest = kNever;
        for (int bucket = 0, seen = 0; bucket < table_.size(); ++bucket) {
            const int photos = std::min(count_, table_.batch(bucket));
            for (; seen < photos; ++seen)
                earliest = std::min(earliest, queue_[seen].steer_ns);
            if (earliest < finish(bucket) && bucket > 0)
                break; // and so for larger ones, which take more photos and longer
            const Plan plan{{bucket, photos, photos}, rate(photos, bucket), 0};
            const double score = scored(plan);
            if (score > best_score) {
                best = plan;
                best_score = score;
            }
            if (photos == count_)
                break;
        }
        return best;
    }

    Plan some_late(int bucket) const {
        Plan plan;
        plan.choice.bucket = bucket;
        int& i = plan.choice.scanned;
        for (; i < count_ && plan.choice.photos < table_.batch(bucket); ++i) {
            plan.late += queue_[i].steer_ns < finish(bucket);
            plan.choice.photos += queue_[i].deadline_ns >= finish(bucket);
        }
        plan.rate = rate(plan.choice.photos, bucket);
        return plan;
    }

    double rate(int photos, int bucket) const {
        return photos / static_cast<double>(table_.ns(bucket));
    }

    double scored(const Plan& plan) const {
        const int bucket = plan.choice.bucket, left = count_ - plan.choice.scanned;
        double score = plan.rate;
        if (left > 0) {
            const int64_t rest = table_.ns(table_.bucket_for(left));
            if (finish(bucket) + rest > queue_[plan.choice.scanned].steer_ns)
                score /= kRestLate;
        }
        if (queue_.front().steer_ns == kNever) // late already: so will be what arrives meanwhile
            return score;
        const double arrivals = outlook_.arrivals_per_ns * static_cast<double>(table_.ns(bucket));
        const int together = table_.bucket_for(
            static_cast<int>(std::ceil(std::min<double>(arrivals, table_.largest()))));
        if (table_.ns(bucket) + table_.ns(together) > outlook_.target_ns)
            score /= kArrivalsLate;
        return score;
    }

    // How many photos of the queue are late when `plan` is followed by the largest batches that
    // the head of the queue bears; counts no further than `most` + 1.
    int late_after(const Plan& plan, int most) const {
        int late = plan.late, i = plan.choice.scanned;
        int64_t now = finish(plan.choice.bucket);
        while (i < count_ && late <= most) {
            const int64_t slack = queue_[i].steer_ns - now;
            if (slack < table_.ns(0)) {
                ++late;
                ++i;
                continue;
            }
            int bucket = 0;
            while (bucket + 1 < table_.size() && table_.batch(bucket) < count_ - i &&
                   table_.ns(bucket + 1) <= slack)
                ++bucket;
            i += table_.batch(bucket);
            now += table_.ns(bucket);
        }
        return late;
    }

    const CostTable& table_;
    std::span<const Ready> queue_;
    int count_;
    int64_t now_;
    const Outlook& outlook_;
};

} // namespace

Choice choose_batch(const CostTable& table, std::span<const Ready> queue, int64_t now_ns,
                    const Outlook& outlook) {
    return Chooser(table, queue, now_ns, outlook).choose();
}

} // namespace yeoul::batching
