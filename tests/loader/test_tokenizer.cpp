// CLIP's tokenizer against the ids that transformers gives (tests/golden/tokenizer).
#include <doctest/doctest.h>

#include <cstring>

#include "loader/safetensors.h"
#include "loader/tokenizer.h"
#include "tests/loader/file_helpers.h"

namespace yeoul::loader {
namespace {

constexpr int kContext = 77;

std::filesystem::path golden_folder() {
    return std::filesystem::path(YEOUL_SOURCE_DIR) / "tests" / "golden" / "tokenizer";
}

template <class T>
std::vector<T> values(const Safetensors& file, const std::string& name) {
    const TensorInfo* tensor = file.find(name);
    REQUIRE_MESSAGE(tensor != nullptr, name);
    std::vector<T> all(tensor->data.size() / sizeof(T));
    std::memcpy(all.data(), tensor->data.data(), tensor->data.size());
    return all;
}

/// Lists of T, as the script stores them: one after the other, with the end of each.
template <class T>
std::vector<std::vector<T>> lists(const Safetensors& file, const std::string& name) {
    const std::vector<T> flat = values<T>(file, name);
    std::vector<std::vector<T>> all;
    int32_t begin = 0;
    for (int32_t end : values<int32_t>(file, name + "_ends")) {
        all.emplace_back(flat.begin() + begin, flat.begin() + end);
        begin = end;
    }
    return all;
}

/// In a message about one of thousands of texts.
std::string shown(const std::string& text) {
    std::string bytes;
    char hex[8];
    for (char c : text.substr(0, 60)) {
        std::snprintf(hex, sizeof hex, "%02x ", static_cast<unsigned char>(c));
        bytes += hex;
    }
    return bytes;
}

TokenizerTexts small_texts() {
    return {.tokenizer = R"({"model": {"type": "BPE", "end_of_word_suffix": "</w>",
        "vocab": {"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4, "<|startoftext|>": 5,
                  "<|endoftext|>": 6},
        "merges": [["a", "b</w>"]]}})",
            .vocabulary = {},
            .merges = {},
            .config = {},
            .special_tokens = {}};
}

std::string tokenizer_refusal(const TokenizerTexts& texts) {
    return error_of(ErrorCode::model, [&] { Tokenizer(parse_tokenizer(texts, "m")); });
}

/// The small tokenizer with `what` of its tokenizer.json replaced.
std::string refusal_with(const std::string& what, const std::string& by) {
    TokenizerTexts texts = small_texts();
    const size_t at = texts.tokenizer.find(what);
    REQUIRE(at != std::string::npos);
    texts.tokenizer.replace(at, what.size(), by);
    return tokenizer_refusal(texts);
}

} // namespace

TEST_CASE("tokenizer: thousands of texts give the ids that transformers gives") {
    const auto folder = golden_folder();
    const Safetensors golden = Safetensors::open_file(folder / "golden.safetensors");
    std::vector<std::string> texts;
    for (const auto& bytes : lists<char>(golden, "texts"))
        texts.emplace_back(bytes.begin(), bytes.end());
    REQUIRE(texts.size() >= 2000);
    for (const char* name : {"vocab-merges", "tokenizer-json", "few-bytes"}) {
        CAPTURE(name);
        const Tokenizer tokenizer = Tokenizer::open_directory(folder / name);
        const auto expected = lists<uint16_t>(golden, name);
        REQUIRE(expected.size() == texts.size());
        int wrong = 0;
        for (size_t i = 0; i < texts.size(); ++i) {
            const std::vector<int32_t> ids = tokenizer.tokens(texts[i]);
            if (std::equal(ids.begin(), ids.end(), expected[i].begin(), expected[i].end()))
                continue;
            if (++wrong <= 5)
                MESSAGE("text " << i << ", " << shown(texts[i]));
        }
        CHECK(wrong == 0);

        const auto index = values<int32_t>(golden, std::string(name) + "_shown");
        const auto framed = values<uint16_t>(golden, std::string(name) + "_framed");
        REQUIRE(index.size() > texts.size() / 8);
        size_t at = 0;
        for (int32_t i : index)
            for (int32_t id : tokenizer.framed(tokenizer.tokens(texts[i]), kContext))
                if (id != framed[at++]) {
                    FAIL_CHECK("framed text " << i << ", " << shown(texts[i]));
                    break;
                }
        CHECK(at == framed.size());
    }
}

TEST_CASE("tokenizer: begin, end and padding come from the files") {
    const auto folder = golden_folder();
    const Tokenizer saved = Tokenizer::open_directory(folder / "tokenizer-json");
    CHECK(saved.padding_id() == 33); // "!"
    CHECK(saved.end_id() == saved.begin_id() + 1);
    const Tokenizer old = Tokenizer::open_directory(folder / "vocab-merges");
    CHECK(old.padding_id() == old.end_id());
    CHECK(old.largest_id() == old.end_id());
    CHECK(old.vocabulary_size() == static_cast<size_t>(old.end_id()) + 1);
}

TEST_CASE("tokenizer: the flags of special tokens come from where transformers takes them") {
    const auto ids = [](const char* config, const char* map) {
        TokenizerTexts texts = small_texts();
        texts.config = config;
        texts.special_tokens = map;
        return Tokenizer(parse_tokenizer(texts, "m")).tokens("<|ENDOFTEXT|>");
    };
    const std::vector<int32_t> found{6};
    const char* plain = R"({"unk_token": {"content": "<|endoftext|>", "normalized": true}})";
    CHECK(ids("{}", "{}") != found);
    CHECK(ids("{}", plain) != found); // the padding token is the same one, and last
    CHECK(ids("{}", R"({"pad_token": {"content": "<|endoftext|>", "normalized": true}})") == found);
    CHECK(ids(R"({"pad_token": {"content": "<|endoftext|>", "normalized": true}})",
              R"({"pad_token": "<|endoftext|>"})") != found);
    CHECK(
        ids(R"({"added_tokens_decoder": {"6": {"content": "<|endoftext|>", "normalized": true}}})",
            "{}") == found);
}

TEST_CASE("tokenizer: a text is cut to the room between begin and end") {
    const Tokenizer tokenizer(parse_tokenizer(small_texts(), "m"));
    CHECK(tokenizer.tokens("ab a") == std::vector<int32_t>{4, 2});
    CHECK(tokenizer.framed(std::vector<int32_t>{4, 2}, 5) == std::vector<int32_t>{5, 4, 2, 6, 6});
    CHECK(tokenizer.framed(std::vector<int32_t>{4, 2}, 3) == std::vector<int32_t>{5, 4, 6});
    CHECK(tokenizer.framed({}, 2) == std::vector<int32_t>{5, 6});
    error_of(ErrorCode::invalid_argument, [&] { tokenizer.framed({}, 1); });
}

TEST_CASE(
    "tokenizer: of equal merges the leftmost comes first, and an earlier merge before a later") {
    TokenizerTexts texts = small_texts();
    const auto replace = [&](const std::string& what, const std::string& by) {
        texts.tokenizer.replace(texts.tokenizer.find(what), what.size(), by);
    };
    replace("\"a\": 0", "\"aa\": 7, \"a\": 0");
    replace("[[\"a\", \"b</w>\"]]", "[\"a a\", \"a b</w>\"]");
    const Tokenizer tokenizer(parse_tokenizer(texts, "m"));
    CHECK(tokenizer.tokens("aab") == std::vector<int32_t>{7, 3});
    CHECK(tokenizer.tokens("aaab") == std::vector<int32_t>{7, 4});
    CHECK(tokenizer.tokens("aaaaab") == std::vector<int32_t>{7, 7, 4});
}

TEST_CASE("tokenizer: a byte that the vocabulary lacks is the unknown token, each for itself") {
    const Tokenizer tokenizer(parse_tokenizer(small_texts(), "m"));
    CHECK(tokenizer.tokens("c\u00e9") == std::vector<int32_t>{6, 6, 6});
}

TEST_CASE("tokenizer: text that is not UTF-8 is refused with the byte") {
    const Tokenizer tokenizer(parse_tokenizer(small_texts(), "m"));
    for (const char* text : {"ab\xff", "ab\xc3", "ab\xed\xa0\x80", "ab\xc0\xaf",
                             "ab\xf4\x90\x80\x80", "ab\x80", "ab\xe2\x82"}) {
        const std::string message =
            error_of(ErrorCode::invalid_argument, [&] { tokenizer.tokens(text); });
        CHECK(lacks(message, "from byte 2 of") == "");
    }
    CHECK(tokenizer.tokens("\xf4\x8f\xbf\xbf").size() == 4); // U+10FFFF
    CHECK(tokenizer.tokens(std::string_view("a\0b", 3)).size() == 3);
}

TEST_CASE("tokenizer: files that are not CLIP's tokenizer are refused by what is wrong") {
    CHECK(lacks(tokenizer_refusal({}), "neither tokenizer.json nor vocab.json with merges.txt") ==
          "");
    CHECK(lacks(refusal_with("\"BPE\"", "\"Unigram\""), "type is \"Unigram\"") == "");
    CHECK(lacks(refusal_with("\"</w>\"", "\"\""), "end_of_word_suffix is \"\"") == "");
    CHECK(lacks(refusal_with("\"a\": 0", "\"a\": -1"), "the id of \"a\" is -1") == "");
    CHECK(lacks(refusal_with("\"a\": 0", "\"a\": 1"), "the id 1 belongs to two tokens") == "");
    CHECK(lacks(refusal_with("[\"a\", \"b</w>\"]", "\"ab\""), "merge 1 is \"ab\"") == "");
    CHECK(lacks(refusal_with("[\"a\", \"b</w>\"]", "[\"b\", \"a</w>\"]"),
                "needs \"ba</w>\", which is not in the vocabulary") == "");
    CHECK(lacks(refusal_with("<|endoftext|>", "<end>"),
                "eos_token \"<|endoftext|>\" is not in the vocabulary") == "");
    CHECK(lacks(refusal_with("{\"model\"", "{\"normalizer\": {\"type\": \"NFKC\"}, \"model\""),
                "normalizers are not NFC, Replace, Lowercase") == "");
    CHECK(lacks(refusal_with("{\"model\"",
                             R"({"pre_tokenizer": {"pretokenizers": [{"type": "Split",
                             "pattern": {"Regex": "\\s+"}}, {"type": "ByteLevel"}]}, "model")"),
                "Regex is \"\\s+\"") == "");
    CHECK(lacks(refusal_with("{\"model\"",
                             R"({"added_tokens": [{"content": "a", "id": 7}], "model")"),
                "the added token \"a\" has id 7, but 0 in the vocabulary") == "");
    CHECK(lacks(refusal_with("{\"model\"",
                             R"({"added_tokens": [{"content": "a", "id": 0, "lstrip": true}],
                             "model")"),
                "has lstrip, which is not supported") == "");
    TokenizerTexts left = small_texts();
    left.config = R"({"padding_side": "left"})";
    CHECK(lacks(tokenizer_refusal(left), "padding_side is \"left\"") == "");
    TokenizerTexts named = small_texts();
    named.config = R"({"pad_token": "[PAD]"})";
    CHECK(lacks(tokenizer_refusal(named), "pad_token \"[PAD]\" is not in the vocabulary") == "");
    CHECK(lacks(tokenizer_refusal({.tokenizer = {},
                                   .vocabulary = R"({"a": 0})",
                                   .merges = "#version: 0.2\na b c\n",
                                   .config = {},
                                   .special_tokens = {}}),
                "line 2 is \"a b c\"") == "");
}

} // namespace yeoul::loader
