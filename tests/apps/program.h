// Starts the built programs as a user does.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace yeoul::test {

struct Call {
    std::string program = "engine-run"; // or an absolute path
    std::vector<std::string> arguments;
    std::string input;                    // on stdin
    std::vector<std::string> environment; // "YEOUL_FORMAT=json", over the inherited one
    std::string folder;                   // to run in; empty: this one
    bool hold_input = false;              // stdin stays open after `input`
};

struct Outcome {
    int code = -1; // as a shell says it: 128 + signal when one killed it
    std::string out, err;
};

/// Runs to its end.
Outcome run_call(const Call& call);
Outcome run(std::vector<std::string> arguments);

/// A program that runs beside the test.
class Running {
public:
    explicit Running(const Call& call);
    ~Running(); // kills it when it still runs
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    /// Waits for a line on stdout; false at its end.
    bool read_line(std::string& line);
    void signal(int number) const;
    /// Waits until the program took the signal sent last out of its queue.
    void wait_until_taken(int number) const;
    /// Waits for the end without reading: the program may be blocked on a full stdout.
    int wait();
    /// Reads what is left and waits for the end.
    Outcome finish();

private:
    friend Outcome run_call(const Call& call);
    pid_t pid_ = -1;
    int in_ = -1, out_ = -1, err_ = -1;
    std::string pending_;
};

std::vector<std::string> lines(const std::string& text);

} // namespace yeoul::test
