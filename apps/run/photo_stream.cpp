#include "apps/run/photo_stream.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace yeoul::run {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr size_t kWindows = 2;

/// Consecutive inputs that travel as one request.
struct Window {
    size_t first = 0;                           // input
    std::vector<std::optional<Result>> results; // guarded by Mailbox::mutex
    std::vector<size_t> photos;                 // position in `results` of each photo sent
    size_t answered = 0;                        // rows handed on, by the calling thread
};

/// What the engine's threads and the calling thread share. Callbacks hold it too, so it outlives
/// the caller, who leaves early after a stop or by an exception.
struct Mailbox {
    std::mutex mutex;
    std::condition_variable changed;
    size_t finished = 0; // photos
};

class PhotoStream {
public:
    PhotoStream(Engine& engine, const std::vector<Input>& inputs, const StreamOptions& options)
        : engine_(engine), inputs_(inputs), options_(options),
          window_size_(static_cast<size_t>(
              std::max(32, 4 * engine.device().batch_size * engine.device().streams))) {}

    void run(const OnResult& on_result, const OnTick& on_tick) {
        for (;;) {
            while (windows_.size() < kWindows && next_ < inputs_.size() &&
                   !options_.stop.stop_requested())
                send();
            if (windows_.empty())
                return;
            std::vector<Result> ready = wait();
            Window& window = *windows_.front();
            for (Result& result : ready) {
                // With several streams later photos may be finished: rows stay a prefix.
                if (result.error && result.error->code == ErrorCode::cancelled)
                    return;
                on_result(inputs_[window.first + window.answered++], result);
            }
            if (window.answered == window.results.size())
                windows_.pop_front();
            on_tick(finished());
        }
    }

private:
    void send() {
        auto window = std::make_shared<Window>();
        window->first = next_;
        window->results.resize(std::min(window_size_, inputs_.size() - next_));
        next_ += window->results.size();
        Request request{.normalize = options_.normalize,
                        .priority = Priority::bulk,
                        .stop = options_.stop};
        for (size_t i = 0; i < window->results.size(); ++i) {
            const Input& input = inputs_[window->first + i];
            if (input.error) {
                window->results[i].emplace().error = input.error;
                continue;
            }
            window->photos.push_back(i);
            request.photos.push_back(Photo::file(input.path));
        }
        windows_.push_back(window);
        if (request.photos.empty())
            return;
        request.on_item = [window, mailbox = mailbox_](size_t photo, const Result& result) {
            const std::lock_guard lock(mailbox->mutex);
            window->results[window->photos[photo]] = result;
            ++mailbox->finished;
            mailbox->changed.notify_one();
        };
        engine_.submit(std::move(request), [](std::vector<Result>) {});
    }

    /// The rows of the front window that are ready and come next; waits a tick for the first.
    std::vector<Result> wait() {
        Window& window = *windows_.front();
        std::unique_lock lock(mailbox_->mutex);
        mailbox_->changed.wait_for(lock, kTick,
                                   [&] { return window.results[window.answered].has_value(); });
        std::vector<Result> ready;
        for (size_t i = window.answered; i < window.results.size() && window.results[i]; ++i)
            ready.push_back(std::move(*window.results[i]));
        return ready;
    }

    size_t finished() const {
        const std::lock_guard lock(mailbox_->mutex);
        return mailbox_->finished;
    }

    Engine& engine_;
    const std::vector<Input>& inputs_;
    const StreamOptions& options_;
    const size_t window_size_;
    size_t next_ = 0; // input
    std::deque<std::shared_ptr<Window>> windows_;
    std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
};

} // namespace

void stream_photos(Engine& engine, const std::vector<Input>& inputs, const StreamOptions& options,
                   const OnResult& on_result, const OnTick& on_tick) {
    PhotoStream(engine, inputs, options).run(on_result, on_tick);
}

} // namespace yeoul::run
