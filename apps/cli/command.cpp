#include <algorithm>
#include <charconv>

#include <yeoul/error.h>

#include "apps/cli/command_line.h"
#include "engine/memory/byte_size.h"
#include "loader/nearest_name.h"

namespace yeoul::cli {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : std::string(separator)) + word;
    return text;
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts(1);
    for (char c : text)
        if (c == ',')
            parts.emplace_back();
        else
            parts.back() += c;
    return parts;
}

int64_t parse_number(const std::string& text, const std::string& label, int64_t least,
                     int64_t most) {
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    YEOUL_REQUIRE(
        error == std::errc() && stop == end && !text.empty() && value >= least && value <= most,
        label << " is '" << text << "', must be a whole number from " << least << " to " << most);
    return value;
}

void require_choice(const std::string& text, const std::string& label,
                    const std::vector<std::string>& choices) {
    if (std::find(choices.begin(), choices.end(), text) != choices.end())
        return;
    const std::vector<std::string> nearest = loader::nearest_names(text, choices, 1);
    YEOUL_REQUIRE(false, label << " is '" << text << "', must be " << alternatives(choices)
                               << (nearest.empty() ? "" : "; did you mean '" + nearest[0] + "'?"));
}

bool parse_switch(const std::string& text, const std::string& label) {
    if (text == "1" || text == "true" || text == "on" || text == "yes")
        return true;
    YEOUL_REQUIRE(text == "0" || text == "false" || text == "off" || text == "no",
                  label << " is '" << text << "', must be 1 or 0");
    return false;
}

} // namespace

Command::Command(std::string name, std::string summary, std::string examples)
    : name_(std::move(name)), summary_(std::move(summary)), examples_(std::move(examples)) {}

Command& Command::add(Flag flag) {
    flags_.push_back(std::move(flag));
    return *this;
}

Command& Command::text(std::string name, std::string value, std::string help, std::string& into) {
    return add({std::move(name), std::move(value), std::move(help), false,
                [&into](const std::string& text, const std::string&) { into = text; }});
}

Command& Command::number(std::string name, std::string value, std::string help, int64_t& into,
                         int64_t least, int64_t most) {
    return add({std::move(name), std::move(value), std::move(help), false,
                [&into, least, most](const std::string& text, const std::string& label) {
                    into = parse_number(text, label, least, most);
                }});
}

Command& Command::number(std::string name, std::string value, std::string help, int& into,
                         int64_t least, int64_t most) {
    return add({std::move(name), std::move(value), std::move(help), false,
                [&into, least, most](const std::string& text, const std::string& label) {
                    into = static_cast<int>(parse_number(text, label, least, most));
                }});
}

Command& Command::bytes(std::string name, std::string value, std::string help, size_t& into) {
    return add({std::move(name), std::move(value), std::move(help), false,
                [&into](const std::string& text, const std::string& label) {
                    const std::optional<size_t> bytes = parse_bytes(text);
                    YEOUL_REQUIRE(bytes && *bytes > 0,
                                  label << " is '" << text
                                        << "', must be a size such as 15GiB, 512MiB, 64KiB or a "
                                           "number of bytes, at least 1");
                    into = *bytes;
                }});
}

Command& Command::numbers(std::string name, std::string value, std::string help,
                          std::vector<int>& into, int64_t least, int64_t most) {
    return add({std::move(name), std::move(value), std::move(help), false,
                [&into, least, most](const std::string& text, const std::string& label) {
                    into.clear();
                    for (const std::string& part : split(text))
                        into.push_back(static_cast<int>(parse_number(part, label, least, most)));
                }});
}

Command& Command::choice(std::string name, std::string help, std::string& into,
                         std::vector<std::string> choices) {
    std::string value = joined(choices, "|");
    return add({std::move(name), std::move(value), std::move(help), false,
                [&into, choices](const std::string& text, const std::string& label) {
                    require_choice(text, label, choices);
                    into = text;
                },
                true, true});
}

Command& Command::selection(std::string name, std::string help, std::vector<std::string>& into,
                            std::vector<std::string> choices) {
    std::string value = joined(choices, "|") + ",...";
    return add({std::move(name), std::move(value), std::move(help), false,
                [&into, choices](const std::string& text, const std::string& label) {
                    std::vector<std::string> parts = split(text);
                    for (const std::string& part : parts)
                        require_choice(part, label, choices);
                    into = std::move(parts);
                },
                true, true});
}

Command& Command::toggle(std::string name, std::string help, bool& into, bool negatable) {
    return add({std::move(name), "", std::move(help), negatable,
                [&into](const std::string& text, const std::string& label) {
                    into = parse_switch(text, label);
                }});
}

Command& Command::exclusive(std::vector<std::string> names) {
    exclusive_.push_back(std::move(names));
    return *this;
}

Command& Command::arguments(std::string value, std::string help, std::vector<std::string>& into,
                            bool required) {
    arguments_value_ = std::move(value);
    arguments_help_ = std::move(help);
    arguments_ = &into;
    arguments_required_ = required;
    return *this;
}

Command& Command::run(std::function<int()> action) {
    action_ = std::move(action);
    return *this;
}

std::string alternatives(const std::vector<std::string>& words) {
    std::string text;
    for (size_t i = 0; i < words.size(); ++i)
        text += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
    return text;
}

std::string environment_name(std::string_view flag) {
    std::string name = "YEOUL_";
    for (char c : flag)
        name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return name;
}

} // namespace yeoul::cli
