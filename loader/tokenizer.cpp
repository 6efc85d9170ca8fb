#include "loader/tokenizer.h"

#include <algorithm>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/unicode_text.h"

namespace yeoul::loader {
namespace {

constexpr std::array<std::u32string_view, 7> kContractions{U"'s", U"'t",  U"'re", U"'ve",
                                                           U"'m", U"'ll", U"'d"};
constexpr std::array<std::u32string_view, 2> kMarkers{U"<|startoftext|>", U"<|endoftext|>"};

// GPT-2's alphabet: a printable character for each byte. Bytes that are printable in Latin-1 stand
// for themselves, the others for U+0100, U+0101, ... in their order.
std::array<std::string, 256> byte_alphabet() {
    std::array<std::string, 256> alphabet;
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
        const bool itself = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
        append_utf8(itself ? static_cast<char32_t>(byte) : next++, alphabet[byte]);
    }
    return alphabet;
}

// NFC, runs of white space as one space, lower case.
std::u32string normalize(std::string_view text) {
    std::u32string spaced;
    for (char32_t c : compose(text)) {
        if (character_class(c) != CharacterClass::space)
            spaced += c;
        else if (!spaced.ends_with(U' '))
            spaced += U' ';
    }
    return lower_case(spaced);
}

// Where the next of `tokens` stands, the longest of those that start there, or nullptr.
template <class Text, class Token>
const Token* find_next(Text text, std::span<const Token> tokens, size_t& at) {
    for (at = 0; at < text.size(); ++at) {
        const Token* best = nullptr;
        for (const Token& token : tokens)
            if (text.substr(at).starts_with(token.content) &&
                (best == nullptr || token.content.size() > best->content.size()))
                best = &token;
        if (best != nullptr)
            return best;
    }
    return nullptr;
}

size_t prefix_of(std::u32string_view text, std::span<const std::u32string_view> prefixes) {
    for (std::u32string_view prefix : prefixes)
        if (text.starts_with(prefix))
            return prefix.size();
    return 0;
}

// The code points of the class of the first one.
size_t run_of_class(std::u32string_view text) {
    const CharacterClass first = character_class(text.front());
    size_t size = 1;
    while (size < text.size() && character_class(text[size]) == first)
        ++size;
    return size;
}

} // namespace

Tokenizer Tokenizer::open_directory(const std::filesystem::path& directory) {
    return Tokenizer(parse_tokenizer(read_tokenizer_texts(directory), directory.string()));
}

Tokenizer::Tokenizer(TokenizerFiles files) : files_(std::move(files)) {
    const auto& vocabulary = files_.vocabulary;
    for (const auto& [left, right] : files_.merges)
        pairs_.add(vocabulary.at(left), vocabulary.at(right), vocabulary.at(left + right));
    files_.merges = {};

    const std::array<std::string, 256> alphabet = byte_alphabet();
    const auto id_of = [&](const std::string& symbol) {
        const auto found = vocabulary.find(symbol);
        if (found == vocabulary.end() && !files_.unknown)
            throw Error(ErrorCode::model, "the vocabulary lacks " + in_quotes(symbol) +
                                              " and there is no unknown token");
        return found == vocabulary.end() ? *files_.unknown : found->second;
    };
    for (int byte = 0; byte < 256; ++byte) {
        byte_ids_[byte] = id_of(alphabet[byte]);
        last_byte_ids_[byte] = id_of(alphabet[byte] + "</w>");
    }

    const auto normalized =
        std::stable_partition(files_.added.begin(), files_.added.end(),
                              [](const AddedToken& token) { return !token.normalized; });
    for (auto token = normalized; token != files_.added.end(); ++token)
        if (std::u32string content = normalize(token->content); !content.empty())
            normalized_.push_back({std::move(content), token->id});
    files_.added.erase(normalized, files_.added.end());
}

std::vector<int32_t> Tokenizer::tokens(std::string_view text) const {
    const size_t invalid = first_invalid_utf8(text);
    YEOUL_REQUIRE(invalid == text.npos,
                  "the text is not UTF-8 from byte " << invalid << " of " << text.size() << " on");
    std::vector<int32_t> ids;
    size_t at = 0;
    while (const AddedToken* token =
               find_next(text, std::span<const AddedToken>(files_.added), at)) {
        add_normalized(text.substr(0, at), ids);
        ids.push_back(token->id);
        text.remove_prefix(at + token->content.size());
    }
    add_normalized(text, ids);
    return ids;
}

void Tokenizer::add_normalized(std::string_view text, std::vector<int32_t>& ids) const {
    const std::u32string normalized = normalize(text);
    std::u32string_view rest = normalized;
    size_t at = 0;
    while (const NormalizedToken* token =
               find_next(rest, std::span<const NormalizedToken>(normalized_), at)) {
        add_words(rest.substr(0, at), ids);
        ids.push_back(token->id);
        rest.remove_prefix(at + token->content.size());
    }
    add_words(rest, ids);
}

void Tokenizer::add_words(std::u32string_view text, std::vector<int32_t>& ids) const {
    while (!text.empty()) {
        size_t size = 0;
        if ((size = prefix_of(text, kMarkers)) != 0) {
            // Letters and signs are words of their own here too, but the marker's end is an end.
            for (std::u32string_view marker = text.substr(0, size); !marker.empty();) {
                const size_t part = run_of_class(marker);
                add_word(marker.substr(0, part), ids);
                marker.remove_prefix(part);
            }
        } else if (character_class(text.front()) == CharacterClass::space) {
            size = 1;
        } else {
            size = prefix_of(text, kContractions);
            if (size == 0)
                size = character_class(text.front()) == CharacterClass::number ? 1
                                                                               : run_of_class(text);
            add_word(text.substr(0, size), ids);
        }
        text.remove_prefix(size);
    }
}

void Tokenizer::add_word(std::u32string_view word, std::vector<int32_t>& ids) const {
    std::string bytes;
    for (char32_t c : word)
        append_utf8(c, bytes);
    std::vector<int32_t> symbols;
    symbols.reserve(bytes.size());
    for (char c : bytes)
        symbols.push_back(byte_ids_[static_cast<uint8_t>(c)]);
    symbols.back() = last_byte_ids_[static_cast<uint8_t>(bytes.back())];
    pairs_.merge(symbols);
    ids.insert(ids.end(), symbols.begin(), symbols.end());
}

std::vector<int32_t> Tokenizer::framed(std::span<const int32_t> tokens, int context) const {
    YEOUL_REQUIRE(context >= 2, "context is " << context << ", must hold begin and end");
    const size_t room = static_cast<size_t>(context) - 2;
    const auto kept = tokens.first(std::min(room, tokens.size()));
    std::vector<int32_t> ids{files_.begin};
    ids.reserve(static_cast<size_t>(context));
    ids.insert(ids.end(), kept.begin(), kept.end());
    ids.push_back(files_.end);
    ids.resize(static_cast<size_t>(context), files_.padding);
    return ids;
}

} // namespace yeoul::loader
