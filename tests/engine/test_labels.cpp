// Text through tokenizer and tower, and tags, against what transformers gives.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "engine/labels.h"
#include "tests/engine/faulty_backend.h"
#include "tests/engine/golden_text.h"
#include "tests/support/cuda_backend.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/text.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

const std::vector<int> kBatches = {2, 4}; // one photo alone is padded

struct Opened {
    Opened(Backend& backend, const std::filesystem::path& directory)
        : memory(backend), golden(directory),
          encoder(directory, backend, backend, backend.numerics("auto"), kBatches),
          tagger(backend, backend, backend.numerics("auto"), kBatches, encoder.dim()) {}
    void replace(const Labels& labels) { tagger.replace(tagger.make(labels, encoder, memory)); }
    Device& memory;
    GoldenText golden;
    TextEncoder encoder;
    Tagger tagger;
};

std::vector<std::vector<float>> rows(const Tensor& tensor) {
    const auto dim = static_cast<size_t>(tensor.shape.back());
    std::vector<std::vector<float>> all;
    for (auto at = tensor.values.begin(); at != tensor.values.end(); at += static_cast<long>(dim))
        all.emplace_back(at, at + static_cast<long>(dim));
    return all;
}

std::string refusal(TextEncoder& encoder, const Labels& labels) {
    try {
        check_labels(labels, encoder);
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::invalid_argument);
        return error.what();
    }
    return "";
}

void check_texts(Backend& backend, Gate gate) {
    for (const auto& directory : golden_models("clip_text")) {
        CAPTURE(directory.filename().string());
        Opened opened(backend, directory);
        std::vector<float> all;
        for (const auto& row : opened.encoder.embed(opened.golden.texts))
            all.insert(all.end(), row.begin(), row.end());
        CHECK(gate.passes(distance_by_row(all, opened.golden.reference.at("text_embeds").values,
                                          static_cast<size_t>(opened.encoder.dim()))));
    }
}

void check_tags(Backend& backend, float tolerance) {
    for (const auto& directory : golden_models("clip_text")) {
        CAPTURE(directory.filename().string());
        Opened opened(backend, directory);
        const auto photos = rows(opened.golden.reference.at("image_embeds"));
        const auto expected = rows(opened.golden.reference.at("probabilities"));
        // Neither the empty text nor those beyond the context can be labels: the softmax of the
        // rest.
        Labels labels{.names = {}, .templates = {"{}"}};
        std::vector<size_t> columns;
        for (size_t text = 1; text < opened.golden.texts.size(); ++text)
            if (opened.encoder.length(opened.golden.texts[text]) <=
                static_cast<size_t>(opened.encoder.context())) {
                labels.names.push_back(opened.golden.texts[text]);
                columns.push_back(text);
            }
        REQUIRE(columns.size() >= 3);
        opened.replace(labels);
        const auto tags = opened.tagger.tag(photos, 64);
        REQUIRE(tags.size() == photos.size());
        for (size_t i = 0; i < photos.size(); ++i) {
            REQUIRE(tags[i].size() == columns.size());
            double all = 0, sum = 0;
            for (size_t column : columns)
                all += expected[i][column];
            for (const Tag& tag : tags[i]) {
                const double wanted = expected[i][columns[tag.index]] / all;
                CHECK(std::abs(tag.probability - wanted) <= tolerance);
                CHECK(tag.label == labels.names[tag.index]);
                sum += tag.probability;
            }
            CHECK(std::abs(sum - 1) < 1e-5);
            for (size_t rank = 1; rank < tags[i].size(); ++rank)
                CHECK(tags[i][rank - 1].probability >= tags[i][rank].probability);
        }
        CHECK(opened.tagger.tag(photos, 2)[0].size() == 2);
    }
}

} // namespace

TEST_CASE("text: strings give the vectors that transformers gives, in batches of any size") {
    check_texts(*make_cpu_backend(2), kFp32Gate);
}

TEST_CASE("simt: strings give the vectors that transformers gives") {
    check_texts(*make_fp16_backend(), kFp16Gate);
}

TEST_CASE("labels: tags are the softmax that transformers gives") {
    // exp(3.5) times a cosine that fp32 knows to 1e-6.
    check_tags(*make_cpu_backend(2), 1e-4f);
}

TEST_CASE("simt: tags are the softmax that transformers gives") {
    // exp(3.5) times a cosine that fp16 knows to 1e-3; a probability moves by at most a quarter.
    check_tags(*make_fp16_backend(), 1e-2f);
}

TEST_CASE("labels: a label of several templates is the mean of its normalized vectors") {
    const auto backend = make_cpu_backend(2);
    Opened opened(*backend, golden_models("clip_text").back());
    const Labels labels{.names = {"cat", "dog"},
                        .templates = {"a {}", "the old {}", "{} at night"}};
    opened.replace(labels);
    std::vector<std::vector<double>> means;
    for (const std::string& name : labels.names) {
        std::vector<double> mean(opened.encoder.dim());
        for (const std::string& form : labels.templates) {
            const std::vector<std::string> text{in_template(form, name)};
            const std::vector<float> x = opened.encoder.embed(text).front();
            double squares = 0;
            for (float value : x)
                squares += double{value} * value;
            for (size_t d = 0; d < x.size(); ++d)
                mean[d] += x[d] / std::sqrt(squares);
        }
        means.push_back(mean);
    }
    const auto photo = rows(opened.golden.reference.at("image_embeds")).front();
    double logits[2];
    for (int i = 0; i < 2; ++i) {
        double dot = 0, a = 0, b = 0;
        for (size_t d = 0; d < photo.size(); ++d) {
            dot += means[i][d] * photo[d];
            a += means[i][d] * means[i][d];
            b += double{photo[d]} * photo[d];
        }
        logits[i] = opened.encoder.scale() * dot / std::sqrt(a * b);
    }
    const double first = 1 / (1 + std::exp(logits[1] - logits[0]));
    const auto tags = opened.tagger.tag(std::vector<std::vector<float>>{photo}, 2);
    REQUIRE(tags[0].size() == 2);
    for (const Tag& tag : tags[0])
        CHECK(std::abs(tag.probability - (tag.index == 0 ? first : 1 - first)) < 1e-4);
}

TEST_CASE("labels: what cannot be a label is refused by its name") {
    const auto backend = make_cpu_backend(1);
    Opened opened(*backend, golden_models("clip_text").back());
    const auto refused = [&](std::vector<std::string> names,
                             std::vector<std::string> templates = {"a photo of a {}"}) {
        return refusal(opened.encoder, {std::move(names), std::move(templates)});
    };
    CHECK(refused({"cat", "dog"}) == "");
    CHECK(contains(refused({}), "no labels"));
    CHECK(contains(refused({"cat", ""}), "label 2, \"\": is empty"));
    CHECK(contains(refused({" \t"}), "label 1"));
    CHECK(contains(refused({"cat", "dog", "cat"}), "label 3, \"cat\", is the same"));
    CHECK(contains(refused({"cat", " CAT "}), "the same to the model as label 1, \"cat\""));
    CHECK(contains(refused({"cat", "d\xffg"}), "label 2, \"d"));
    CHECK(contains(refused({"cat", "d\xffg"}), "is not UTF-8 from byte 1 of 3"));
    const std::string most(72, '1'), too_many(73, '1'); // and three of the template, begin and end
    CHECK(refused({most}, {"a 1 {} 1"}) == "");
    CHECK(contains(refused({"cat", too_many}, {"a 1 {} 1"}), "takes 78 tokens"));
    CHECK(contains(refused({"cat", too_many}, {"a 1 {} 1"}), "label 2, \"111"));
    CHECK(contains(refused({"cat"}, {}), "no templates"));
    CHECK(contains(refused({"cat"}, {"{}", "a photo"}), "\"a photo\" has no {}"));
    CHECK(contains(refused({"cat"}, {"{} and {}"}), "more than one {}"));
    CHECK_THROWS_AS(opened.tagger.tag({}, 1), Error); // no labels yet
    opened.replace({.names = {"cat"}});
    CHECK_THROWS_AS(opened.tagger.tag(std::vector<std::vector<float>>{{1, 2}}, 1), Error);
}

TEST_CASE("labels: a vector without length or with NaN gets no tag, its neighbours get theirs") {
    const auto backend = make_cpu_backend(1);
    Opened opened(*backend, golden_models("clip_text").back());
    opened.replace({.names = {"cat", "dog"}});
    const std::vector<float> good = rows(opened.golden.reference.at("image_embeds")).front();
    std::vector<float> zero(good.size()), bad = good;
    bad[3] = NAN;
    const auto tags = opened.tagger.tag(std::vector{good, zero, bad, good}, 2);
    CHECK(tags[0].size() == 2);
    CHECK(tags[1].empty());
    CHECK(tags[2].empty());
    CHECK(tags[3].size() == 2);
    CHECK(tags[0][0].probability == tags[3][0].probability);
}

TEST_CASE("labels: a set replaced while others tag is all of the old or all of the new") {
    const auto backend = make_cpu_backend(2);
    Opened opened(*backend, golden_models("clip_text").back());
    const Labels sets[] = {{.names = {"cat", "dog", "bird"}}, {.names = {"red", "green"}}};
    opened.replace(sets[0]);
    const auto photos = rows(opened.golden.reference.at("image_embeds"));
    bool whole = true;
    {
        std::jthread tagging([&](std::stop_token stop) {
            while (!stop.stop_requested())
                for (const auto& tags : opened.tagger.tag(photos, 3))
                    for (const Tag& tag : tags) {
                        const auto& names = sets[tags.size() == 3 ? 0 : 1].names;
                        whole = whole && tag.label == names[tag.index];
                    }
        });
        for (int i = 0; i < 20; ++i)
            opened.replace(sets[i % 2]);
    }
    CHECK(whole);
    CHECK(opened.tagger.labels()->names() == sets[1].names);
}

TEST_CASE("labels: a set refused memory at any point leaves the old one in force, nothing behind") {
    const auto inner = make_cpu_backend(1);
    FaultyBackend backend(*inner);
    const auto directory = golden_models("clip_text").back();
    TextEncoder encoder(directory, *inner, *inner, inner->numerics("auto"), kBatches);
    Tagger tagger(*inner, backend, inner->numerics("auto"), kBatches, encoder.dim());
    tagger.replace(tagger.make({.names = {"cat", "dog"}}, encoder, backend));
    const auto photos = rows(GoldenText(directory).reference.at("image_embeds"));
    const int blocks = backend.live_blocks, streams = backend.live_streams;
    int refusals = 0;
    for (bool made = false; !made; refusals += !made) {
        CAPTURE(refusals);
        backend.fails = [fault = backend.calls + 1 + refusals](int call) { return call == fault; };
        try {
            tagger.replace(tagger.make({.names = {"red", "green", "blue"}}, encoder, backend));
            made = true;
        } catch (const OutOfMemory&) {
            CHECK(backend.live_blocks == blocks);
            CHECK(backend.live_streams == streams);
            backend.fails = [](int) { return false; };
            CHECK(tagger.tag(photos, 3)[0].size() == 2);
        }
    }
    backend.fails = [](int) { return false; };
    CHECK(refusals == 2); // staging, and the matrix
    CHECK(tagger.tag(photos, 3)[0].size() == 3);
}

TEST_CASE("text: a tokenizer and a tower that do not belong together are refused") {
    const auto backend = make_cpu_backend(1);
    const auto from = golden_models("clip_text").back();
    const auto opening = [&](const std::string& key, const std::string& value) {
        const TemporaryDirectory directory;
        std::filesystem::copy(from, directory.path(), std::filesystem::copy_options::recursive);
        std::ifstream in(directory.path() / "config.json");
        std::string config{std::istreambuf_iterator<char>(in), {}};
        const size_t at = config.find("\"" + key + "\": ") + key.size() + 4;
        config.replace(at, config.find_first_of(",\n", at) - at, value);
        std::ofstream(directory.path() / "config.json") << config;
        try {
            TextEncoder(directory.path(), *backend, *backend, backend->numerics("fp32"), {1});
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::model);
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(contains(opening("vocab_size", "100"), "ids up to 837, but vocab_size is 100"));
    CHECK(contains(opening("eos_token_id", "5"), "ends a text with id 837, but eos_token_id is 5"));
    CHECK(contains(opening("model_type", "\"clip_vision_model\""), "has no text"));
    CHECK(contains(opening("num_hidden_layers", "4"), "text_model.encoder.layers.3"));
}
