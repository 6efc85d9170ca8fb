#include "tests/apps/program.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sched.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace yeoul::test {
namespace {

struct Pipe {
    int read_end, write_end;
    Pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw std::runtime_error("pipe2 failed");
        read_end = ends[0];
        write_end = ends[1];
    }
};

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> all;
    for (std::string& word : words)
        all.push_back(word.data());
    all.push_back(nullptr);
    return all;
}

std::vector<std::string> environment_of(const Call& call) {
    std::vector<std::string> all = call.environment;
    for (char** variable = environ; *variable; ++variable)
        if (!std::string(*variable).starts_with("YEOUL_"))
            all.emplace_back(*variable);
    return all;
}

void close_once(int& descriptor) {
    if (descriptor >= 0)
        ::close(descriptor);
    descriptor = -1;
}

int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace

Running::Running(const Call& call) {
    const Pipe in, out, err;
    std::vector<std::string> words = {
        (call.program.starts_with('/') ? "" : YEOUL_BINARY_DIR "/bin/") + call.program};
    words.insert(words.end(), call.arguments.begin(), call.arguments.end());
    std::vector<std::string> variables = environment_of(call);
    const std::vector<char*> argv = pointers(words), envp = pointers(variables);
    pid_ = ::fork();
    if (pid_ < 0)
        throw std::runtime_error("fork failed");
    if (pid_ == 0) {
        ::dup2(in.read_end, STDIN_FILENO);
        ::dup2(out.write_end, STDOUT_FILENO);
        ::dup2(err.write_end, STDERR_FILENO);
        std::signal(SIGINT, SIG_DFL); // a background job inherits it ignored
        std::signal(SIGPIPE, SIG_DFL);
        if (call.folder.empty() || ::chdir(call.folder.c_str()) == 0)
            ::execve(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    ::close(in.read_end);
    ::close(out.write_end);
    ::close(err.write_end);
    in_ = in.write_end;
    out_ = out.read_end;
    err_ = err.read_end;
    std::signal(SIGPIPE, SIG_IGN); // a program may end without reading its input
    ::fcntl(in_, F_SETFL, O_NONBLOCK);
    pending_ = call.input;
    // What does not fit into the pipe is written while the output is read.
    while (!pending_.empty()) {
        pollfd wait[] = {{in_, POLLOUT, 0}};
        ::poll(wait, 1, 10000);
        const ssize_t written = ::write(in_, pending_.data(), pending_.size());
        if (written < 0 && errno == EPIPE)
            break; // its exit code says why
        if (written <= 0 && errno != EINTR)
            throw std::runtime_error("the program does not take its input");
        pending_.erase(0, static_cast<size_t>(std::max<ssize_t>(written, 0)));
    }
    pending_.clear();
    if (!call.hold_input)
        close_once(in_);
}

Running::~Running() {
    close_once(in_);
    close_once(out_);
    close_once(err_);
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

bool Running::read_line(std::string& line) {
    for (;;) {
        if (const size_t end = pending_.find('\n'); end != std::string::npos) {
            line = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            return true;
        }
        char buffer[4096];
        const ssize_t count = ::read(out_, buffer, sizeof buffer);
        if (count <= 0)
            return false;
        pending_.append(buffer, static_cast<size_t>(count));
    }
}

void Running::signal(int number) const {
    ::kill(pid_, number);
}

void Running::wait_until_taken(int number) const {
    const std::string file = "/proc/" + std::to_string(pid_) + "/status";
    for (bool queued = true; queued; ::sched_yield()) {
        queued = false;
        std::ifstream status(file);
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("ShdPnd:"))
                queued = std::stoull(line.substr(7), nullptr, 16) >> (number - 1) & 1;
    }
}

int Running::wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return exit_code(status);
}

Outcome Running::finish() {
    Outcome outcome;
    outcome.out = std::move(pending_);
    pollfd watched[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
    std::string* texts[] = {&outcome.out, &outcome.err};
    for (int open = 2; open > 0;) {
        ::poll(watched, 2, -1);
        for (int i = 0; i < 2; ++i) {
            if (!(watched[i].revents & (POLLIN | POLLHUP)))
                continue;
            char buffer[65536];
            const ssize_t count = ::read(watched[i].fd, buffer, sizeof buffer);
            if (count > 0) {
                texts[i]->append(buffer, static_cast<size_t>(count));
            } else {
                watched[i].fd = -1;
                watched[i].revents = 0;
                --open;
            }
        }
    }
    outcome.code = wait();
    return outcome;
}

Outcome run_call(const Call& call) {
    return Running(call).finish();
}

Outcome run(std::vector<std::string> arguments) {
    return run_call(Call{.arguments = std::move(arguments)});
}

std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> all;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        all.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return all;
}

} // namespace yeoul::test
