#include "apps/serve/wire/multipart.h"

#include <cstring>

#include <yeoul/error.h>

#include "apps/serve/wire/header_value.h"

namespace yeoul::serve {
namespace {

constexpr size_t kPartHeadLimit = 8 << 10;

std::string_view as_text(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Linear in the worst case too: std::string_view::find would crawl over a body of line ends.
size_t find(std::string_view text, std::string_view what, size_t from) {
    const void* found = ::memmem(text.data() + from, text.size() - from, what.data(), what.size());
    return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data())
                 : std::string_view::npos;
}

/// One "Name: value" of a part's head.
void read_field(std::string_view line, size_t number, FormPart& part, bool& disposed) {
    const size_t colon = line.find(':');
    YEOUL_REQUIRE(colon != std::string_view::npos,
                  "part " << number << " of the form has a header line without a colon");
    const std::string name = lower_case(trimmed(line.substr(0, colon)));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "content-disposition") {
        const HeaderValue disposition = parse_header_value(value);
        YEOUL_REQUIRE(disposition.value == "form-data",
                      "part " << number << " of the form has the disposition '" << disposition.value
                              << "', must be form-data");
        const auto label = disposition.parameters.find("name");
        YEOUL_REQUIRE(label != disposition.parameters.end(),
                      "part " << number << " of the form has no name");
        part.name = label->second;
        const auto file = disposition.parameters.find("filename");
        part.has_filename = file != disposition.parameters.end();
        if (part.has_filename)
            part.filename = file->second;
        disposed = true;
    } else if (name == "content-type") {
        part.content_type = parse_header_value(value).value;
    } else if (name == "content-transfer-encoding") {
        const std::string encoding = lower_case(value);
        YEOUL_REQUIRE(encoding == "binary" || encoding == "8bit" || encoding == "7bit",
                      "part " << number << " of the form is sent as '" << encoding
                              << "', must be binary");
    }
}

/// `text` is head, empty line, data.
FormPart read_part(std::string_view text, size_t number) {
    FormPart part;
    bool disposed = false;
    for (size_t at = 0;;) {
        const size_t end = text.substr(0, kPartHeadLimit).find("\r\n", at);
        YEOUL_REQUIRE(end != std::string_view::npos,
                      "part " << number << " of the form has no end of its head");
        const std::string_view line = text.substr(at, end - at);
        at = end + 2;
        if (line.empty()) {
            const std::string_view data = text.substr(at);
            part.data = {reinterpret_cast<const uint8_t*>(data.data()), data.size()};
            break;
        }
        read_field(line, number, part, disposed);
    }
    YEOUL_REQUIRE(disposed, "part " << number << " of the form has no Content-Disposition");
    return part;
}

} // namespace

std::string multipart_boundary(std::string_view content_type) {
    const HeaderValue type = parse_header_value(content_type);
    const auto found = type.parameters.find("boundary");
    YEOUL_REQUIRE(found != type.parameters.end(), "the Content-Type of the form names no boundary");
    YEOUL_REQUIRE(!found->second.empty() && found->second.size() <= 70,
                  "the boundary of the form has " << found->second.size()
                                                  << " characters, may have 1 to 70");
    return found->second;
}

std::vector<FormPart> parse_multipart(std::span<const uint8_t> body, std::string_view boundary,
                                      size_t most_parts) {
    const std::string_view text = as_text(body);
    const std::string first = "--" + std::string(boundary), next = "\r\n" + first;
    size_t at = first.size();
    if (!text.starts_with(first)) { // there is a preamble, which nobody reads
        const size_t found = find(text, next, 0);
        YEOUL_REQUIRE(found != std::string_view::npos,
                      "the form's boundary '" << boundary << "' is not in the body");
        at = found + next.size();
    }
    std::vector<FormPart> parts;
    for (;;) {
        if (text.substr(at).starts_with("--"))
            return parts;
        while (at < text.size() && (text[at] == ' ' || text[at] == '\t'))
            ++at;
        YEOUL_REQUIRE(text.substr(at).starts_with("\r\n"), "the form's boundary after part "
                                                               << parts.size()
                                                               << " does not end its line");
        at += 2;
        const size_t end = find(text, next, at);
        YEOUL_REQUIRE(end != std::string_view::npos,
                      "the form ends in the middle of part " << parts.size() + 1);
        YEOUL_REQUIRE(parts.size() < most_parts,
                      "the form has over " << most_parts << " parts; send fewer photos at once");
        parts.push_back(read_part(text.substr(at, end - at), parts.size() + 1));
        at = end + next.size();
    }
}

} // namespace yeoul::serve
