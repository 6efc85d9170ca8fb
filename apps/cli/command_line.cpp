#include "apps/cli/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <set>

#include <yeoul/error.h>

#include "apps/cli/exit_code.h"
#include "apps/cli/help.h"
#include "apps/cli/printable.h"
#include "loader/nearest_name.h"

namespace yeoul::cli {

/// One call of a program. Throws `Error`, code `invalid_argument`, for what the user got wrong.
class Parser {
public:
    explicit Parser(const Program& program) : program_(program) {}

    int run(const std::vector<std::string>& words) {
        if (is_one_command())
            return run(program_.commands.front(), {words.rbegin(), words.rend()});
        if (words.empty()) {
            std::cerr << program_help();
            return kUsage;
        }
        if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
            std::cout << program_help();
            return kDone;
        }
        if (words[0] == "--version") {
            std::cout << program_.version << '\n';
            return kDone;
        }
        return run(command(words[0]), {words.rbegin(), words.rend() - 1});
    }

private:
    bool is_one_command() const {
        return program_.commands.size() == 1 && program_.commands.front().name().empty();
    }

    /// "engine-run embed", or the program alone when it is one command.
    std::string called(const Command& command) const {
        return program_.name + (command.name().empty() ? "" : " " + command.name());
    }

    const Command& command(const std::string& name) const {
        std::vector<std::string> names;
        for (const Command& known : program_.commands) {
            if (known.name() == name)
                return known;
            names.push_back(known.name());
        }
        std::string list;
        for (const std::string& known : names)
            list += (list.empty() ? "" : ", ") + known;
        const bool flag = name.starts_with('-');
        if (flag)
            names = {"--help", "--version"};
        throw Error(
            ErrorCode::invalid_argument,
            (flag ? "'" + name + "' stands before the command" : "unknown command '" + name + "'") +
                "; commands are " + list +
                suggestion(name == "-V" || name == "-v" ? "--version" : name, names, ""));
    }

    /// `reversed`: the words after the command, last first, as CLI11 wants them.
    int run(const Command& command, std::vector<std::string> reversed) const {
        CLI::App app;
        app.set_help_flag();
        app.allow_extras();
        bool help = false, version = false;
        app.add_flag("-h,--help", help);
        app.add_flag("--version", version);
        std::vector<CLI::Option*> on, off;
        for (const Flag& flag : command.flags_) {
            on.push_back(flag.value.empty() ? app.add_flag("--" + flag.name)
                                            : app.add_option("--" + flag.name)->take_last());
            off.push_back(flag.negatable ? app.add_flag("--no-" + flag.name) : nullptr);
        }
        std::vector<std::string> arguments;
        if (command.arguments_)
            app.add_option("arguments", arguments);
        refuse_switch_values(command, reversed);
        try {
            app.parse(std::move(reversed));
        } catch (const CLI::ArgumentMismatch& error) {
            const std::string text = error.what(); // "--model: 1 required  missing"
            throw Error(ErrorCode::invalid_argument, text.substr(0, text.find(':')) +
                                                         " needs a value; see " +
                                                         help_command(command));
        } catch (const CLI::ParseError& error) {
            throw Error(ErrorCode::invalid_argument,
                        std::string(error.what()) + "; see " + help_command(command));
        }
        if (help) {
            std::cout << command_help(command);
            return kDone;
        }
        if (version) {
            std::cout << program_.version << '\n';
            return kDone;
        }
        std::vector<std::string> extras = app.remaining();
        std::erase(extras, "--"); // CLI11 keeps the mark that ends the flags
        refuse_extras(command, extras);
        std::set<std::string> given;
        if (!arguments.empty())
            given.insert(command.arguments_value_);
        for (size_t i = 0; i < on.size(); ++i)
            if (on[i]->count() || (off[i] && off[i]->count()))
                given.insert(command.flags_[i].name);
        for (size_t i = 0; i < on.size(); ++i)
            set(command.flags_[i], on[i], off[i], !set_aside(command, command.flags_[i], given));
        YEOUL_REQUIRE(!command.arguments_required_ || !arguments.empty(),
                      command.arguments_value_ << " is missing; see " << help_command(command));
        if (command.arguments_)
            *command.arguments_ = std::move(arguments);
        return command.action_();
    }

    /// CLI11 would take `--normalize=0` for `--normalize`.
    static void refuse_switch_values(const Command& command,
                                     const std::vector<std::string>& reversed) {
        std::vector<std::string> switches = {"--help", "--version"};
        for (const Flag& flag : command.flags_) {
            if (!flag.value.empty())
                continue;
            switches.push_back("--" + flag.name);
            if (flag.negatable)
                switches.push_back("--no-" + flag.name);
        }
        const auto end = std::find(reversed.rbegin(), reversed.rend(), "--");
        for (auto word = reversed.rbegin(); word != end; ++word) {
            const std::string name = word->substr(0, word->find('='));
            YEOUL_REQUIRE(name.size() == word->size() ||
                              std::find(switches.begin(), switches.end(), name) == switches.end(),
                          name << " takes no value, but got '" << word->substr(name.size() + 1)
                               << "'; give it alone");
        }
    }

    /// Whether the command line has a flag that excludes this one.
    static bool set_aside(const Command& command, const Flag& flag,
                          const std::set<std::string>& given) {
        for (const std::vector<std::string>& names : command.exclusive_)
            if (std::find(names.begin(), names.end(), flag.name) != names.end())
                for (const std::string& name : names)
                    if (name != flag.name && given.contains(name))
                        return true;
        return false;
    }

    static void set(const Flag& flag, const CLI::Option* on, const CLI::Option* off,
                    bool environment) {
        const std::string label = "--" + flag.name;
        YEOUL_REQUIRE(!(off && off->count() && on->count()),
                      label << " and --no-" << flag.name << " exclude each other; give one");
        if (off && off->count())
            return flag.set("false", "--no-" + flag.name);
        if (on->count())
            return flag.set(flag.value.empty() ? "true" : on->results().back(), label);
        if (!flag.environment || !environment)
            return;
        const std::string variable = environment_name(flag.name);
        // An empty variable is how scripts unset one.
        const char* value = std::getenv(variable.c_str());
        if (!value || !*value)
            return;
        try {
            flag.set(value, variable);
        } catch (const Error& error) {
            if (!flag.choice)
                throw;
            std::cerr << "warning: " << printable(error.what()) << "; ignored\n";
        }
    }

    void refuse_extras(const Command& command, const std::vector<std::string>& extras) const {
        if (extras.empty())
            return;
        std::vector<std::string> known = {"--help", "--version"};
        for (const Flag& flag : command.flags_) {
            known.push_back("--" + flag.name);
            if (flag.negatable)
                known.push_back("--no-" + flag.name);
        }
        for (const std::string& extra : extras) {
            if (!extra.starts_with('-') || extra.size() == 1)
                continue;
            const std::string name = extra.substr(0, extra.find('='));
            throw Error(ErrorCode::invalid_argument,
                        "unknown flag '" + name + "' of " + called(command) +
                            suggestion(name, known, "; see " + help_command(command)));
        }
        throw Error(ErrorCode::invalid_argument,
                    "unexpected argument '" + extras[0] + "'; see " + help_command(command));
    }

    static std::string suggestion(const std::string& name, const std::vector<std::string>& known,
                                  const std::string& otherwise) {
        const std::vector<std::string> nearest = loader::nearest_names(name, known, 1);
        return nearest.empty() ? otherwise : "; did you mean '" + nearest[0] + "'?";
    }

    std::string help_command(const Command& command) const {
        return "'" + called(command) + " --help'";
    }

    std::string program_help() const {
        HelpText help;
        help.line(program_.summary);
        help.heading("usage: " + program_.name + " COMMAND [flags]");
        for (const Command& command : program_.commands)
            help.entry(command.name(), command.summary_);
        help.heading("'" + program_.name + " COMMAND --help' explains a command.");
        return help.text();
    }

    std::string command_help(const Command& command) const {
        HelpText help;
        help.line(command.summary_);
        help.heading("usage: " + called(command) + " [flags]" +
                     (command.arguments_ ? " " + command.arguments_value_ : ""));
        if (command.arguments_)
            help.entry(command.arguments_value_, command.arguments_help_);
        help.heading("flags (each also read from the environment variable in brackets)");
        for (const Flag& flag : command.flags_) {
            std::string left = "--" + flag.name;
            if (flag.negatable)
                left = "--[no-]" + flag.name;
            if (!flag.value.empty())
                left += " " + flag.value;
            help.entry(left, flag.environment ? flag.help + " [" + environment_name(flag.name) + "]"
                                              : flag.help);
        }
        help.entry("--version", "print the version");
        if (!command.examples_.empty()) {
            help.heading("examples");
            help.verbatim(command.examples_);
        }
        return help.text();
    }

    const Program& program_;
};

int run_program(Program program, int argc, char** argv) {
    int code = kFailed;
    try {
        code = Parser(program).run({argv + 1, argv + argc});
    } catch (const Error& error) {
        std::cerr << "error: " << printable(error.what()) << '\n';
        code = exit_code(error.code());
    } catch (const std::bad_alloc&) {
        std::cerr << "error: out of memory on the host; use a smaller --batch-size\n";
        code = kDevice;
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << '\n';
    }
    std::cout.flush();
    if (!std::cout && code == kDone) {
        std::cerr << "error: standard output cannot be written\n";
        code = kFailed;
    }
    return code;
}

} // namespace yeoul::cli
