#include "apps/cli/stop_signals.h"

#include <csignal>
#include <pthread.h>
#include <unistd.h>

#include "apps/cli/exit_code.h"

namespace yeoul::cli {
namespace {

// SIGTERM is always in it: the destructor wakes the thread with it.
sigset_t stop_set() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    struct sigaction action {};
    if (sigaction(SIGINT, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(&set, SIGINT);
    return set;
}

} // namespace

StopSignals::StopSignals(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    thread_ = std::thread([this] { wait(); });
}

StopSignals::~StopSignals() {
    closing_ = true;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignals::wait() {
    const sigset_t set = stop_set();
    for (;;) {
        int signal = 0;
        if (sigwait(&set, &signal) != 0 || closing_)
            return;
        if (caught_ != 0)
            ::_exit(kSignalBase + signal);
        caught_ = signal;
        on_stop_();
    }
}

} // namespace yeoul::cli
