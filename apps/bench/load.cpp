#include "apps/bench/load.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>

namespace yeoul::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Answer {
    Clock::time_point sent, done;
    double compute_ms = 0;
    std::string failure;
};

Clock::duration duration(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

class Load {
public:
    Load(LoadTarget& target, const LoadPlan& plan)
        : target_(target), plan_(plan), start_(Clock::now()),
          from_(start_ + duration(plan.warmup_seconds)), until_(from_ + duration(plan.seconds)) {}

    LoadResult run() {
        for (int client = 0; client < plan_.clients; ++client)
            send(start_);
        while (Clock::now() < until_) {
            const size_t answered = take_answers(std::min(until_, next_arrival()));
            if (Clock::now() >= until_)
                break;
            for (size_t i = 0; i < answered && plan_.clients > 0; ++i)
                send(Clock::now());
            for (; next_arrival() <= Clock::now(); ++arrived_)
                for (int i = 0; i < plan_.arrivals[arrived_].photos; ++i)
                    send(next_arrival());
        }
        while (in_flight_ > 0)
            take_answers(Clock::time_point::max());
        return summary();
    }

private:
    Clock::time_point next_arrival() const {
        if (plan_.clients > 0 || arrived_ == plan_.arrivals.size())
            return Clock::time_point::max();
        return start_ + std::chrono::nanoseconds(plan_.arrivals[arrived_].at_ns);
    }

    void send(Clock::time_point due) {
        ++in_flight_;
        target_.submit(plan_.photos[sent_++ % plan_.photos.size()], [this, due](const Result& r) {
            Answer answer{due, Clock::now(), r.times.compute_ms, {}};
            if (r.error)
                answer.failure = r.error->message;
            // Told under the lock: this may be the last answer, and the waiter then goes away.
            std::lock_guard lock(mutex_);
            new_answers_.push_back(std::move(answer));
            changed_.notify_one();
        });
    }

    size_t take_answers(Clock::time_point until) {
        std::vector<Answer> taken;
        {
            std::unique_lock lock(mutex_);
            const auto some = [this] { return !new_answers_.empty(); };
            if (until == Clock::time_point::max())
                changed_.wait(lock, some);
            else
                changed_.wait_until(lock, until, some);
            taken.swap(new_answers_);
        }
        in_flight_ -= taken.size();
        for (Answer& answer : taken)
            if (answer.done >= from_ && answer.done <= until_)
                answers_.push_back(std::move(answer));
        return taken.size();
    }

    LoadResult summary() {
        LoadResult result;
        result.answered = static_cast<int64_t>(answers_.size());
        std::vector<Answer> good;
        for (Answer& answer : answers_) {
            if (answer.failure.empty()) {
                result.latencies_ms.push_back(milliseconds(answer.done - answer.sent));
                good.push_back(std::move(answer));
                continue;
            }
            ++result.failed;
            if (result.first_failure.empty())
                result.first_failure = answer.failure;
        }
        std::sort(good.begin(), good.end(),
                  [](const Answer& a, const Answer& b) { return a.done < b.done; });
        result.per_second = rate(good);
        result.device_share = busy(good);
        return result;
    }

    // The answers of the first pass come a little after one another and are its end, not its work.
    static double rate(const std::vector<Answer>& good) {
        if (good.empty())
            return 0;
        const auto first_pass = good.front().done + duration(good.front().compute_ms / 1e3 / 5);
        const auto counted = std::count_if(good.begin(), good.end(), [&](const Answer& answer) {
            return answer.done > first_pass;
        });
        const double seconds = milliseconds(good.back().done - good.front().done) / 1e3;
        return counted > 0 ? static_cast<double>(counted) / seconds : 0;
    }

    double busy(const std::vector<Answer>& good) const {
        struct Pass {
            Clock::time_point start, stop;
        };
        std::vector<Pass> passes;
        for (const Answer& answer : good)
            passes.push_back(
                {std::max(from_, answer.done - duration(answer.compute_ms / 1e3)), answer.done});
        std::sort(passes.begin(), passes.end(),
                  [](const Pass& a, const Pass& b) { return a.start < b.start; });
        Clock::duration sum{};
        Clock::time_point covered = from_;
        for (const Pass& pass : passes) {
            sum += std::max(Clock::duration{}, pass.stop - std::max(covered, pass.start));
            covered = std::max(covered, pass.stop);
        }
        return milliseconds(sum) / milliseconds(until_ - from_);
    }

    LoadTarget& target_;
    const LoadPlan& plan_;
    Clock::time_point start_, from_, until_;
    size_t sent_ = 0, arrived_ = 0, in_flight_ = 0;
    std::vector<Answer> answers_; // in the measured time

    std::mutex mutex_; // guards what follows
    std::vector<Answer> new_answers_;
    std::condition_variable changed_;
};

} // namespace

LoadResult put_load(LoadTarget& target, const LoadPlan& plan) {
    YEOUL_REQUIRE(!plan.photos.empty(), "load needs a photo");
    return Load(target, plan).run();
}

double percentile(std::vector<double> values, double share) {
    const auto place =
        static_cast<ptrdiff_t>(std::ceil(share * static_cast<double>(values.size()))) - 1;
    const auto at = values.begin() + std::max<ptrdiff_t>(0, place);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

} // namespace yeoul::bench
