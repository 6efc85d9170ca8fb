#include "tests/engine/policy_world.h"

#include <algorithm>
#include <deque>
#include <limits>

#include "engine/batching/arrivals.h"

namespace yeoul::test {
namespace {

using namespace batching;

class World {
public:
    World(const PolicyConfig& config, const CostTable& table, const WorldPlan& plan)
        : policy_(config, table), plan_(plan), workers_(static_cast<size_t>(config.decode_workers)),
          streams_(static_cast<size_t>(config.streams)) {}

    WorldReport live() {
        for (int i = 0; i < plan_.albums; ++i)
            arrivals_.push_back((arrivals_.empty() ? 0 : arrivals_.back()) + draw(20'000'000));
        const int end_at = plan_.end ? static_cast<int>(draw(plan_.albums)) : -1;
        for (int album = 0;;) {
            now_ = album < plan_.albums ? arrivals_[album] : kNever;
            now_ = std::min(now_, wake_);
            for (const Worker& worker : workers_)
                now_ = std::min(now_, worker.until);
            for (const Stream& stream : streams_)
                if (!stream.batches.empty())
                    now_ = std::min(now_, stream.batches.front().until);
            if (now_ == kNever)
                break;
            take_finished();
            for (; album < plan_.albums && arrivals_[album] <= now_; ++album) {
                if (album == end_at && plan_.end == 1)
                    policy_.close();
                aborted_ |= album == end_at && plan_.end == 2;
                if (aborted_)
                    policy_.abort(now_); // twice is once
                arrive();
            }
            if (plan_.cancels && !photos_.empty() && draw(4) == 0)
                cancel(draw(photos_.size()));
            wake_ = kNever;
            carry_out();
        }
        for (const Photo& photo : photos_)
            expect(photo.state == finished, "every photo is answered");
        expect(policy_.unfinished() == 0 && policy_.queued_bytes() == 0 && policy_.ready() == 0 &&
                   policy_.waiting() == 0,
               "nothing is kept of what is answered");
        return report_;
    }

private:
    enum State { waiting, decoding, ready, running, finished };
    struct Photo {
        ItemId id;
        int64_t arrival, due, deadline, decode_ns;
        State state;
        bool cancelled = false;
    };
    struct Worker {
        int64_t until = kNever;
        uint64_t photo = 0;
    };
    struct Batch {
        int64_t until;
        int bucket;
        std::vector<uint64_t> photos;
    };
    struct Stream {
        std::deque<Batch> batches; // one after the other
        int64_t expected = 0;      // when the last should be done
    };

    uint64_t draw(uint64_t below) { return counted_random(plan_.seed, 0, draws_++) % below; }
    void expect(bool good, const char* promise) {
        if (!good)
            report_.broken.push_back(promise);
    }

    int64_t random_deadline() {
        constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
        const int64_t absurd[] = {-1, 0, 1, -kMost - 1, kMost - 1, kMost / 2, now_, now_ - 1};
        switch (plan_.deadlines ? draw(8) : 0) {
        case 0:
        case 1:
            return kNever;
        case 2:
            return absurd[draw(std::size(absurd))];
        default:
            return now_ + static_cast<int64_t>(draw(120'000'000));
        }
    }

    void arrive() {
        std::vector<ItemRequest> items(draw(10) == 0 ? draw(60) : draw(6));
        for (ItemRequest& item : items) {
            item.tag = photos_.size() + static_cast<size_t>(&item - items.data());
            item.bytes = draw(2'000'000);
            item.decode_ns = draw(5) == 0 ? 0 : static_cast<int64_t>(draw(8'000'000));
        }
        const Priority priority = draw(3) == 0 ? Priority::bulk : Priority::interactive;
        const int64_t deadline = random_deadline();
        const Admission admission = policy_.admit(now_, {priority, deadline, items});
        if (!admission.accepted) {
            expect(admission.ids.empty(), "of a refused album nothing is kept");
            expect(admission.retry_after_ns > 0, "a refusal says when to retry");
            report_.refused += static_cast<int>(items.size());
            return;
        }
        expect(admission.ids.size() == items.size(), "an album is admitted whole");
        const PolicyConfig& config = policy_.config();
        const bool bulk = priority == Priority::bulk;
        const int64_t target = now_ + (bulk ? config.bulk_wait_ns : config.latency_target_ns);
        int64_t limit = deadline;
        if (config.drop_late && !bulk)
            limit = std::min(limit, target);
        for (size_t i = 0; i < items.size(); ++i)
            photos_.push_back({admission.ids[i], now_, std::min(target, limit), limit,
                               items[i].decode_ns, items[i].decode_ns > 0 ? waiting : ready});
        report_.photos += static_cast<int>(items.size());
    }

    void cancel(uint64_t index) {
        Photo& photo = photos_[index];
        const Cancelled outcome = policy_.cancel(now_, photo.id);
        const bool queued = photo.state == waiting || photo.state == ready;
        if (queued && !photo.cancelled && !aborted_)
            expect(outcome == Cancelled::answered, "a queued photo is cancelled at once");
        if (photo.state == decoding && !photo.cancelled && !aborted_)
            expect(outcome == Cancelled::decoding, "a decode can be told to stop");
        if (photo.state == running)
            expect(outcome == Cancelled::running, "a running batch keeps its photos");
        if (photo.state == finished)
            expect(outcome == Cancelled::unknown, "what is answered is forgotten");
        photo.cancelled |= outcome == Cancelled::answered || outcome == Cancelled::decoding;
    }

    void finish(uint64_t index) {
        expect(photos_[index].state != finished, "no photo is answered twice");
        photos_[index].state = finished;
    }

    void take_finished() {
        for (Worker& worker : workers_)
            if (worker.until == now_) {
                worker.until = kNever;
                const bool ok = !plan_.faults || draw(10) != 0;
                const bool wanted = policy_.decoded(now_, photos_[worker.photo].id, ok);
                if (wanted && !ok) {
                    finish(worker.photo);
                    ++report_.failed;
                } else if (wanted) {
                    photos_[worker.photo].state = ready;
                }
            }
        for (size_t i = 0; i < streams_.size(); ++i)
            if (auto& batches = streams_[i].batches;
                !batches.empty() && batches.front().until == now_) {
                policy_.batch_done(now_, static_cast<int>(i));
                for (uint64_t photo : batches.front().photos)
                    finish(photo);
                report_.computed += static_cast<int>(batches.front().photos.size());
                batches.pop_front();
                if (!batches.empty())
                    streams_[i].expected = now_ + policy_.table().ns(batches.front().bucket);
            }
    }

    // Nothing that came later than a photo's due time is served before it at the same stage.
    void expect_no_starvation(const Photo& served, State stage, int64_t finish) {
        for (const Photo& other : photos_)
            if (other.state == stage && !other.cancelled && other.due < served.arrival)
                expect(stage == ready && other.deadline < finish,
                       "nothing later than its due time passes a photo");
    }

    void carry_out() {
        for (;;) {
            const Decision decision = policy_.next(now_);
            if (decision.kind == Decision::wait) {
                expect(decision.until_ns > now_, "waits for the future");
                wake_ = decision.until_ns;
                return;
            }
            if (decision.kind == Decision::answer)
                answer(decision);
            else if (decision.kind == Decision::start_decode)
                decode(decision);
            else
                launch(decision);
        }
    }

    void answer(const Decision& decision) {
        const Photo& photo = photos_[decision.item.tag];
        expect(photo.id == decision.item.id, "tags and ids stay together");
        if (decision.code == ErrorCode::deadline_exceeded) {
            expect(photo.deadline != kNever, "only a deadline drops");
            ++report_.late;
        } else {
            expect(decision.code == ErrorCode::cancelled, "two codes and no third");
            ++report_.cancelled;
        }
        finish(decision.item.tag);
    }

    void decode(const Decision& decision) {
        Photo& photo = photos_[decision.item.tag];
        Worker& worker = workers_[static_cast<size_t>(decision.worker)];
        expect(worker.until == kNever, "one photo at a time per worker");
        expect(photo.state == waiting && !photo.cancelled, "decodes what waits and is wanted");
        expect(photo.deadline >= now_ + policy_.table().ns(0), "decodes nothing that must be late");
        if (policy_.config().shared_cores)
            expect(std::ranges::all_of(streams_, [](const Stream& s) { return s.batches.empty(); }),
                   "shared cores decode while no batch runs");
        expect_no_starvation(photo, waiting, 0);
        photo.state = decoding;
        worker.until = now_ + jitter(photo.decode_ns);
        worker.photo = decision.item.tag;
    }

    void launch(const Decision& decision) {
        Stream& stream = streams_[static_cast<size_t>(decision.stream)];
        const CostTable& table = policy_.table();
        const PolicyConfig& config = policy_.config();
        expect(stream.batches.size() < (config.lead_ns > 0 ? 2 : 1), "few batches in flight");
        if (!stream.batches.empty())
            expect(stream.expected - now_ <= config.lead_ns, "the second batch comes last minute");
        if (config.shared_cores)
            expect(std::ranges::all_of(workers_, [](const Worker& w) { return w.until == kNever; }),
                   "shared cores compute while nothing is decoded");
        expect(decision.bucket >= 0 && decision.bucket < table.size(), "the bucket exists");
        expect(!decision.batch.empty() &&
                   static_cast<int>(decision.batch.size()) <= table.batch(decision.bucket),
               "the bucket holds the batch");
        const int64_t start = stream.batches.empty() ? now_ : std::max(now_, stream.expected);
        const int64_t finish = start + table.ns(decision.bucket);
        std::vector<uint64_t> photos;
        for (const Decision::Item& item : decision.batch) {
            Photo& photo = photos_[item.tag];
            expect(photo.state == ready && !photo.cancelled, "computes what is ready and wanted");
            expect(photo.deadline >= finish, "no batch whose photo must be late");
            photo.state = running;
            photos.push_back(item.tag);
        }
        for (const Decision::Item& item : decision.batch)
            expect_no_starvation(photos_[item.tag], ready, finish);
        const int64_t begin = stream.batches.empty() ? now_ : stream.batches.back().until;
        stream.batches.push_back(
            {begin + jitter(table.ns(decision.bucket)), decision.bucket, std::move(photos)});
        stream.expected = finish;
    }

    int64_t jitter(int64_t ns) {
        return plan_.faults ? std::max<int64_t>(1, ns / 2 + static_cast<int64_t>(draw(ns + 1)))
                            : std::max<int64_t>(1, ns);
    }

    Policy policy_;
    WorldPlan plan_;
    WorldReport report_;
    uint64_t draws_ = 0;
    bool aborted_ = false;
    int64_t now_ = 0, wake_ = kNever;
    std::vector<int64_t> arrivals_;
    std::vector<Photo> photos_;
    std::vector<Worker> workers_;
    std::vector<Stream> streams_;
};

} // namespace

WorldReport live(const PolicyConfig& config, const CostTable& table, const WorldPlan& plan) {
    return World(config, table, plan).live();
}

} // namespace yeoul::test
