// The blocks of a grid, over the host's threads.
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "block.h"
#include "sanitizers.h"

namespace simt {
namespace detail {
namespace {

struct Job {
    explicit Job(const Grid& grid_)
        : grid(grid_), blocks(uint64_t{grid.grid.x} * grid.grid.y * grid.grid.z) {
        if (!config().random_order)
            return;
        factor = 2654435761U % blocks;
        while (std::gcd(factor, blocks) != 1)
            ++factor;
        offset = grid.seed % blocks;
    }
    // The blocks in another order; for a grid below 2^32 blocks the product fits.
    uint64_t place(uint64_t number) const { return (number * factor + offset) % blocks; }

    const Grid& grid;
    uint64_t blocks, factor = 1, offset = 0;
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::string error;
};

void work(Job& job) {
    static thread_local std::unique_ptr<BlockRunner> runner;
    if (runner == nullptr)
        runner = std::make_unique<BlockRunner>();
    runner->prepare(job.grid);
    const dim3 grid = job.grid.grid;
    while (!job.failed) {
        const uint64_t taken = job.next++;
        if (taken >= job.blocks)
            break;
        const uint64_t number = job.place(taken);
        const uint3 index = {static_cast<unsigned>(number % grid.x),
                             static_cast<unsigned>(number / grid.x % grid.y),
                             static_cast<unsigned>(number / grid.x / grid.y)};
        if (runner->run(index, number))
            continue;
        {
            const std::lock_guard lock(job.mutex);
            if (!job.failed)
                job.error = runner->error();
            job.failed = true;
        }
        // Its fibers stopped inside the kernel. ThreadSanitizer cannot end those.
        if constexpr (kTsan)
            (void)runner.release();
        else
            runner.reset();
        return;
    }
    runner->finish();
}

class Pool {
public:
    explicit Pool(int threads) {
        for (int i = 0; i < threads; ++i)
            threads_.emplace_back([this] { serve(); });
    }
    ~Pool() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (std::thread& thread : threads_)
            thread.join();
    }
    void run(Job& job) {
        {
            const std::lock_guard lock(mutex_);
            job_ = &job;
            ++number_;
            busy_ = threads_.size();
        }
        wake_.notify_all();
        work(job);
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return busy_ == 0; });
    }

private:
    void serve() {
        for (uint64_t seen = 0;;) {
            Job* job = nullptr;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return stop_ || number_ != seen; });
                if (stop_)
                    return;
                seen = number_;
                job = job_;
            }
            work(*job);
            const std::lock_guard lock(mutex_);
            if (--busy_ == 0)
                done_.notify_one();
        }
    }

    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;
    uint64_t number_ = 0;
    size_t busy_ = 0;
    bool stop_ = false;
};

int wanted_threads() {
#if defined(SIMT_SERIAL)
    return 1;
#else
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    return config().workers > 0 ? config().workers : std::max(cores, 1);
#endif
}

Config from_environment() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value != nullptr ? value : "");
    };
    Config config;
    const std::string order = variable("SIMT_ORDER"), seed = variable("SIMT_SEED"),
                      workers = variable("SIMT_WORKERS");
    if (order != "" && order != "random" && order != "ascending")
        throw std::invalid_argument("SIMT_ORDER is '" + order + "', must be ascending or random");
    config.random_order = order == "random";
    if (!seed.empty())
        config.seed = std::stoull(seed);
    if (!workers.empty())
        config.workers = std::stoi(workers);
    return config;
}

std::mutex g_stats_mutex;
Stats g_stats;

} // namespace

void add_stats(const Stats& stats) {
    const std::lock_guard lock(g_stats_mutex);
    g_stats.blocks += stats.blocks;
    g_stats.threads += stats.threads;
    g_stats.barriers += stats.barriers;
    g_stats.collectives += stats.collectives;
    g_stats.switches += stats.switches;
}

void run_grid(const Grid& grid) {
    Job job(grid);
    const int threads = wanted_threads();
    if (threads == 1 || job.blocks == 1) {
        work(job);
    } else {
        static Pool pool(threads - 1);
        pool.run(job);
    }
    if (job.failed)
        throw std::runtime_error(job.error);
}

} // namespace detail

Config& config() {
    static Config config = detail::from_environment();
    return config;
}

Stats take_stats() {
    const std::lock_guard lock(detail::g_stats_mutex);
    return std::exchange(detail::g_stats, {});
}

} // namespace simt
