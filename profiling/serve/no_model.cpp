// The photo service with decoding and the forward pass left out: an engine that answers at once,
// from a thread of its own as the real one does. What remains is the server: sockets, HTTP, forms,
// JSON, metrics. transport.py sends it load.
//     serve_no_model PORT IO_THREADS DIM
#include <condition_variable>
#include <csignal>
#include <deque>
#include <iostream>
#include <mutex>
#include <thread>

#include "apps/serve/http/freed_memory.h"
#include "apps/serve/http/server.h"
#include "apps/serve/service/photo_engine.h"
#include "apps/serve/service/service.h"

namespace {

using namespace yeoul;

class InstantEngine : public serve::PhotoEngine {
public:
    explicit InstantEngine(int dim) {
        info_.dim = dim;
        device_.kind = "none";
        for (int i = 0; i < dim; ++i) // as long in JSON as real ones
            vector_.push_back(0.25f + 0.5f * static_cast<float>(i) / static_cast<float>(dim + 2));
        thread_ = std::thread([this] { answer(); });
    }
    ~InstantEngine() override {
        {
            const std::lock_guard lock(mutex_);
            closing_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

    void submit(Request request, std::function<void(std::vector<Result>)> on_done) override {
        bool idle = false;
        {
            const std::lock_guard lock(mutex_);
            idle = jobs_.empty();
            jobs_.push_back({std::move(request), std::move(on_done)});
        }
        if (idle)
            changed_.notify_all();
    }
    bool ready() const override { return true; }
    bool has_text() const override { return false; }
    void set_labels(const Labels&) override {}
    Duplicates duplicates(const std::vector<std::vector<float>>&, double) override { return {}; }
    const ModelInfo& info() const override { return info_; }
    const DeviceInfo& device() const override { return device_; }
    EngineStats stats() const override { return {}; }

private:
    struct Job {
        Request request;
        std::function<void(std::vector<Result>)> on_done;
    };

    void answer() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
            if (jobs_.empty())
                return;
            std::deque<Job> taken;
            taken.swap(jobs_);
            lock.unlock();
            for (Job& job : taken) {
                Result result;
                result.embedding = vector_;
                result.format = "jpeg";
                result.batch = static_cast<int>(taken.size());
                job.on_done(std::vector<Result>(job.request.photos.size(), result));
            }
            taken.clear();
            lock.lock();
        }
    }

    ModelInfo info_;
    DeviceInfo device_;
    std::vector<float> vector_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_; // guarded by mutex_, as is closing_
    bool closing_ = false;
    std::thread thread_;
};

} // namespace

int main(int argc, char** argv) try {
    YEOUL_REQUIRE(argc == 4, "usage: serve_no_model PORT IO_THREADS DIM");
    serve::keep_freed_memory();
    sigset_t stops; // blocked before threads are made, which inherit that
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stops, nullptr);

    serve::ServiceOptions service_options;
    service_options.model_name = "none";
    serve::Service service(service_options);
    serve::ServerOptions server_options;
    server_options.port = std::stoi(argv[1]);
    server_options.threads = std::stoi(argv[2]);
    serve::HttpServer server(server_options, service);
    InstantEngine engine(std::stoi(argv[3]));
    service.open(engine);
    std::cout << server.address() << std::endl;
    int signal = 0;
    sigwait(&stops, &signal);
    service.drain();
    server.drain();
} catch (const std::exception& error) {
    std::cerr << "serve_no_model: " << error.what() << '\n';
    return 1;
}
