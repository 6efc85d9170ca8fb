// Commands, flags and their environment variables. CLI11 does the parsing and stays behind this
// header.
//
// Every flag `--some-flag` is also read from YEOUL_SOME_FLAG, but synth's --output; the command
// line wins. A flag or command that does not exist is answered with the nearest one and exit
// code 2.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::cli {

/// One flag. `set` gets the text of the value ("true" or "false" for a switch) and the name to
/// blame in an error: "--batch-size" or "YEOUL_BATCH_SIZE".
struct Flag {
    std::string name;  // "batch-size"
    std::string value; // "N"; empty for a switch
    std::string help;
    bool negatable = false; // a switch with --no-NAME
    std::function<void(const std::string& value, const std::string& label)> set;
    bool environment = true; // is also read from its variable
    /// Commands share a variable but not the choices: one that is unknown here is left alone.
    bool choice = false;
};

class Command {
public:
    /// `examples` is shown at the end of the help, one a line.
    Command(std::string name, std::string summary, std::string examples = "");

    // What each puts into `into` stays as it was when neither flag nor variable is given. Values
    // that do not fit throw `Error`, code `invalid_argument`.
    Command& text(std::string name, std::string value, std::string help, std::string& into);
    Command& number(std::string name, std::string value, std::string help, int& into, int64_t least,
                    int64_t most);
    Command& number(std::string name, std::string value, std::string help, int64_t& into,
                    int64_t least, int64_t most);
    /// "15GiB", "512MiB", "64KiB" or bytes; at least 1.
    Command& bytes(std::string name, std::string value, std::string help, size_t& into);
    /// "1,8,32"
    Command& numbers(std::string name, std::string value, std::string help, std::vector<int>& into,
                     int64_t least, int64_t most);
    Command& choice(std::string name, std::string help, std::string& into,
                    std::vector<std::string> choices);
    /// Several of the choices, separated by commas.
    Command& selection(std::string name, std::string help, std::vector<std::string>& into,
                       std::vector<std::string> choices);
    Command& toggle(std::string name, std::string help, bool& into, bool negatable = false);
    Command& add(Flag flag);
    /// Flags, or the value of `arguments`, that exclude each other: one of them on the command line
    /// sets aside the variables of the others. The command itself refuses two that were given.
    Command& exclusive(std::vector<std::string> names);
    /// The arguments that are no flags.
    Command& arguments(std::string value, std::string help, std::vector<std::string>& into,
                       bool required);
    /// What the command does; returns the exit code.
    Command& run(std::function<int()> action);

    const std::string& name() const { return name_; }

private:
    friend class Parser;
    std::string name_, summary_, examples_;
    std::vector<Flag> flags_;
    std::vector<std::vector<std::string>> exclusive_;
    std::string arguments_value_, arguments_help_;
    std::vector<std::string>* arguments_ = nullptr;
    bool arguments_required_ = false;
    std::function<int()> action_;
};

struct Program {
    std::string name, summary;
    std::string version; // printed by --version
    /// One whose name is empty is the program itself: no word stands before its flags.
    std::vector<Command> commands;
};

/// Parses, runs the command, and turns what it throws into one sentence on stderr and an exit code.
int run_program(Program program, int argc, char** argv);

/// "a, b or c"
std::string alternatives(const std::vector<std::string>& words);

/// "YEOUL_BATCH_SIZE" of "batch-size".
std::string environment_name(std::string_view flag);

} // namespace yeoul::cli
