#include "apps/bench/allocator_record.h"

#include <fstream>
#include <future>
#include <memory>
#include <vector>

#include "apps/bench/measured_model.h"
#include "apps/bench/sample_photo.h"
#include "apps/bench/trace_recorder.h"
#include "engine/backends.h"
#include "engine/batching/arrivals.h"
#include "engine/session.h"

namespace yeoul::bench {
namespace {

/// Height and width of photos as phones, cameras and messengers send them.
constexpr int kPhotos[][2] = {{1080, 1920}, {1280, 960},  {3000, 4000}, {3024, 4032},
                              {600, 800},   {2000, 3000}, {768, 1024},  {1600, 1200}};

class Day {
public:
    Day(const RecordFlags& flags, TraceRecorder& recorder) : flags_(flags), recorder_(recorder) {
        for (const auto& [height, width] : kPhotos)
            pool_.push_back(sample_jpeg(height, width, pool_.size()));
    }

    void run() {
        const MeasuredModel bundled("", ""), other("", flags_.arch);
        const bool other_text = flags_.arch.empty();
        auto first = open(bundled, true, 1);
        serve({first.get()});
        auto second = open(other, other_text, 1); // beside the first, then in its place
        serve({first.get(), second.get()});
        first.reset();
        serve({second.get()});
        auto third = open(bundled, true, 2);
        second.reset();
        serve({third.get()});
        {
            Session beside(*third, options(bundled, false, 1), measuring());
            serve({third.get(), &beside});
        }
        third.reset();
        second = open(other, other_text, 2);
        serve({second.get()});
    }

private:
    EngineOptions options(const MeasuredModel& model, bool text, int streams) const {
        EngineOptions options;
        options.model = model.path();
        options.text = text;
        options.streams = streams;
        options.batch_size = flags_.batch_size;
        return options;
    }
    MeasuringOptions measuring() const { return {.listener = &recorder_}; }

    std::unique_ptr<Session> open(const MeasuredModel& model, bool text, int streams) {
        auto session = std::make_unique<Session>(make_backend(flags_.device, usable_cores()),
                                                 options(model, text, streams), measuring());
        if (text)
            session->set_labels(labels());
        return session;
    }

    /// Albums for each in turn; now and then labels are replaced and an album is searched.
    void serve(const std::vector<Session*>& sessions) {
        for (int album = 0; album < flags_.albums; ++album)
            for (Session* session : sessions) {
                embed(*session, static_cast<int>(1 + draw(4)));
                if (session->prepared().text && draw(2) == 0)
                    session->set_labels(labels());
                if (draw(4) == 0)
                    search(*session, 1100 + draw(1000));
            }
    }

    void embed(Session& session, int count) {
        Request request;
        for (int i = 0; i < count; ++i)
            request.photos.push_back(Photo::bytes(pool_[draw(pool_.size())]));
        std::promise<std::vector<Result>> promise;
        session.submit(std::move(request),
                       [&](std::vector<Result> results) { promise.set_value(std::move(results)); });
        for (const Result& result : promise.get_future().get())
            if (result.error)
                throw Error(result.error->code, "a sample photo: " + result.error->message);
    }

    static void search(Session& session, size_t count) {
        const auto dim = static_cast<size_t>(session.info().dim);
        std::vector<std::vector<float>> vectors(count, std::vector<float>(dim, 0.0F));
        for (size_t i = 0; i < count; ++i) {
            vectors[i][i % dim] = 1;
            vectors[i][i / dim % dim] += 1;
        }
        session.duplicates(vectors, 0.99);
    }

    Labels labels() {
        constexpr size_t kCounts[] = {8, 20, 50, 200, 1000};
        Labels labels{.names = {}, .templates = {"{}"}};
        for (size_t i = kCounts[draw(std::size(kCounts))]; i > 0; --i)
            labels.names.push_back("label " + std::to_string(i));
        return labels;
    }

    uint64_t draw(uint64_t below) { return batching::counted_random(4, 0, draws_++) % below; }

    const RecordFlags& flags_;
    TraceRecorder& recorder_;
    std::vector<std::vector<uint8_t>> pool_; // JPEGs
    uint64_t draws_ = 0;
};

} // namespace

void record_trace(const RecordFlags& flags) {
    TraceRecorder recorder;
    Day(flags, recorder).run();
    const std::string steps = recorder.text();
    const auto backend = make_backend(flags.device, 1);
    std::ofstream file(flags.file);
    file << "# Recorded from sessions on " << backend->properties().kind << " ("
         << backend->properties().name << "), yeoul " << version()
         << ": engine-bench allocator --record FILE --device " << flags.device << " --albums "
         << flags.albums;
    if (!flags.arch.empty())
        file << " --arch " << flags.arch;
    if (flags.batch_size > 0)
        file << " --batch-size " << flags.batch_size;
    file << "\n# Photos ask for nothing once a model is open; staging is pinned memory.\n" << steps;
    file.close();
    if (!file)
        throw Error(ErrorCode::io, "the trace cannot be written to '" + flags.file + "'");
}

} // namespace yeoul::bench
