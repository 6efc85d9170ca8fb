#include <doctest/doctest.h>

#include <algorithm>

#include "loader/preprocessor.h"
#include "tests/loader/file_helpers.h"

namespace yeoul::loader {
namespace {

Preprocessor preprocessor_of(const std::string& members) {
    return parse_preprocessor("{" + members + "}", "preprocessor_config.json");
}

std::string preprocessor_refusal(const std::string& members) {
    return error_of(ErrorCode::model, [&] { preprocessor_of(members); });
}

bool noted(const Preprocessor& preprocessor, const std::string& note) {
    const auto& notes = preprocessor.notes;
    return std::find(notes.begin(), notes.end(), note) != notes.end();
}

constexpr std::array<double, 3> kClipMean{0.48145466, 0.4578275, 0.40821073};
constexpr std::array<double, 3> kClipStd{0.26862954, 0.26130258, 0.27577711};

const std::string kCurrent = R"("crop_size": {"height": 336, "width": 320},
    "data_format": "channels_first", "do_center_crop": true, "do_convert_rgb": true,
    "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.5, 0.25, 0.125],
    "image_processor_type": "CLIPImageProcessor", "image_std": [0.5, 0.75, 1], "resample": 2,
    "rescale_factor": 0.5, "size": {"shortest_edge": 340})";

void check_current(const Preprocessor& current) {
    CHECK(current.resize == Preprocessor::Resize::shortest_edge);
    CHECK(current.shortest_edge == 340);
    CHECK(current.resample == Resample::bilinear);
    CHECK(current.center_crop);
    CHECK(current.output_height() == 336);
    CHECK(current.output_width() == 320);
    CHECK(current.rescale);
    CHECK(current.rescale_factor == 0.5);
    CHECK(current.normalize);
    CHECK(current.mean == std::array<double, 3>{0.5, 0.25, 0.125});
    CHECK(current.std == std::array<double, 3>{0.5, 0.75, 1});
    CHECK(current.notes.empty());
}

TEST_CASE("preprocessor: the current form, flat and nested") {
    check_current(preprocessor_of(kCurrent));
    check_current(preprocessor_of("\"image_processor\": {" + kCurrent +
                                  "}, "
                                  "\"processor_class\": \"X\""));
}

// The file of openai/clip-vit-base-patch32: ints, no do_rescale.
TEST_CASE("preprocessor: the legacy form of CLIP") {
    const Preprocessor legacy = preprocessor_of(R"("crop_size": 224, "do_center_crop": true,
        "do_normalize": true, "do_resize": true, "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224)");
    CHECK(legacy.resize == Preprocessor::Resize::shortest_edge);
    CHECK(legacy.shortest_edge == 224);
    CHECK(legacy.crop_height == 224);
    CHECK(legacy.crop_width == 224);
    CHECK(legacy.resample == Resample::bicubic);
    CHECK(legacy.rescale);
    CHECK(legacy.rescale_factor == 1.0 / 255.0);
    CHECK(legacy.mean == kClipMean);
    CHECK(legacy.std == kClipStd);
    CHECK(noted(legacy, "do_rescale is absent, taken as true"));
    CHECK(noted(legacy, "size 224 (legacy) is the shortest edge"));
    CHECK(noted(legacy, "crop_size (legacy) is height 224, width 224"));
}

TEST_CASE("preprocessor: an empty file has CLIPImageProcessor's defaults, all noted") {
    const Preprocessor empty = preprocessor_of("");
    CHECK(empty.resize == Preprocessor::Resize::shortest_edge);
    CHECK(empty.shortest_edge == 224);
    CHECK(empty.resample == Resample::bicubic);
    CHECK(empty.output_height() == 224);
    CHECK(empty.output_width() == 224);
    CHECK(empty.rescale_factor == 1.0 / 255.0);
    CHECK(empty.mean == kClipMean);
    CHECK(empty.std == kClipStd);
    CHECK(noted(empty, "crop_size is absent, taken as 224"));
    CHECK(empty.notes.size() == 10);
}

TEST_CASE("preprocessor: sizes as object, list and int") {
    const Preprocessor object =
        preprocessor_of(R"("size":{"height":200,"width":300},"do_center_crop":false)");
    CHECK(object.resize == Preprocessor::Resize::exact);
    CHECK(object.output_height() == 200);
    CHECK(object.output_width() == 300);
    CHECK(preprocessor_of(R"("size":[200,300],"do_center_crop":false)").output_width() == 300);
    const Preprocessor square =
        preprocessor_of(R"("size":256,"default_to_square":true,"do_center_crop":false)");
    CHECK(square.resize == Preprocessor::Resize::exact);
    CHECK(square.output_height() == 256);
    CHECK(square.output_width() == 256);
    CHECK(preprocessor_of(R"("size":256,"default_to_square":false)").shortest_edge == 256);
    CHECK(preprocessor_of(R"("crop_size":[100,90])").output_width() == 90);
}

TEST_CASE("preprocessor: without resize the crop fixes the size") {
    const Preprocessor crop = preprocessor_of(R"("do_resize":false,"crop_size":64,"resample":0)");
    CHECK(crop.resize == Preprocessor::Resize::none);
    CHECK(crop.output_height() == 64);
}

TEST_CASE("preprocessor: a null step is off, as in transformers") {
    const Preprocessor off = preprocessor_of(R"("do_rescale":null,"do_normalize":null)");
    CHECK(!off.rescale);
    CHECK(!off.normalize);
    CHECK(noted(off, "do_rescale is null, taken as false"));
    CHECK(lacks(preprocessor_refusal(R"("do_center_crop":null)"), "leaves the output size open") ==
          "");
}

TEST_CASE("preprocessor: what is switched off is not read") {
    const Preprocessor off = preprocessor_of(
        R"("do_normalize":false,"image_std":[0,0,0],"do_rescale":false,"rescale_factor":"x",
           "do_center_crop":false,"crop_size":null,"size":{"height":8,"width":8})");
    CHECK(!off.normalize);
    CHECK(off.output_height() == 8);
}

TEST_CASE("preprocessor: mean and deviation as one number, steps that are off or null") {
    const Preprocessor one = preprocessor_of(R"("image_mean":0.5,"image_std":1,"do_pad":false,
        "pad_size":null,"crop_pct":null,"device":null,"do_reduce_labels":null)");
    CHECK(one.mean == std::array<double, 3>{0.5, 0.5, 0.5});
    CHECK(one.std == std::array<double, 3>{1, 1, 1});
    CHECK(preprocessor_of(R"("image_mean":[0,-0.5,0])").mean[1] == -0.5);
}

TEST_CASE("preprocessor: notes tell what is done differently") {
    CHECK(noted(preprocessor_of(R"("do_convert_rgb":false)"),
                "do_convert_rgb is false, photos become RGB all the same"));
    CHECK(noted(preprocessor_of(R"("image_processor_type":"CLIPImageProcessorFast")"),
                "CLIPImageProcessorFast is computed as CLIPImageProcessor with Pillow"));
}

TEST_CASE("preprocessor: what is not supported or leaves the size open is refused by name") {
    struct Wrong {
        const char *members, *part;
    };
    for (const Wrong& wrong : {
             Wrong{R"("resample":0)", "resample is 0, nearest is not supported, must be 2"},
             {R"("resample":1)", "lanczos is not supported"},
             {R"("resample":4)", "box is not supported"},
             {R"("resample":5)", "hamming is not supported"},
             {R"("resample":6)", "resample is 6, must be 2 (bilinear) or 3 (bicubic)"},
             {R"("resample":-1)", "resample is -1"},
             {R"("resample":"bicubic")", "resample is \"bicubic\""},
             {R"("resample":null)", "resample is null"},
             {R"("size":null)", "size is null, must be {\"shortest_edge\": N}"},
             {R"("size":"224")", "size is \"224\""},
             {R"("size":0)", "size is 0, must be from 1 to 8192"},
             {R"("size":8193)", "size is 8193"},
             {R"("size":224.5)", "size is 224.5"},
             {R"("size":{})", "size is an object"},
             {R"("size":[1,2,3])", "size is a list"},
             {R"("size":{"height":224})", "size is an object"},
             {R"("size":{"height":224,"width":-1})", "size is an object"},
             {R"("size":{"longest_edge":224})", "size is an object"},
             {R"("size":{"shortest_edge":224,"longest_edge":448})",
              "shortest_edge together with another key leaves the output size open"},
             {R"("size":{"shortest_edge":"224"})", "size.shortest_edge is \"224\""},
             {R"("size":{"shortest_edge":0})", "size.shortest_edge is 0"},
             {R"("crop_size":null)", "crop_size is null"},
             {R"("crop_size":{"shortest_edge":224})", "crop_size is an object"},
             {R"("crop_size":0)", "crop_size is 0"},
             {R"("do_center_crop":false)", "do_center_crop is false, with a shortest edge it "
                                           "leaves the output size open"},
             {R"("do_resize":false,"do_center_crop":false)",
              "do_resize is false, together with do_center_crop false"},
             {R"("do_resize":1)", "do_resize is 1, must be true or false"},
             {R"("do_rescale":"true")", "do_rescale is \"true\""},
             {R"("rescale_factor":0)", "rescale_factor is 0, must be a number above 0"},
             {R"("rescale_factor":null)", "rescale_factor is null"},
             {R"("image_std":[0.5,0,0.5])", "image_std is 0, must be three numbers, or one, above "
                                            "0 and"},
             {R"("image_std":0)", "image_std is 0"},
             {R"("image_std":[-1,1,1])", "image_std is -1"},
             {R"("image_mean":[0.5,0.5])", "image_mean is a list"},
             {R"("image_mean":[0.5,0.5,0.5,0.5])", "image_mean is a list"},
             {R"("image_mean":[0.5,0.5,"0.5"])", "image_mean is \"0.5\""},
             {R"("image_mean":null)", "image_mean is null"},
             {R"("crop_pct":0.875)", "crop_pct is 0.875, CLIP's processor has no such step"},
             {R"("pad_size":{"height":1,"width":1})", "pad_size is an object"},
             {R"("do_pad":true)", "do_pad is true, this step is not supported"},
             {R"("do_flip_channel_order":true)", "do_flip_channel_order is true"},
             {R"("use_square_size":true)", "use_square_size is true, write \"size\""},
             {R"("image_processor_type":"ViTImageProcessor")",
              "image_processor_type is \"ViTImageProcessor\", only CLIPImageProcessor"},
             {R"("feature_extractor_type":"ViTFeatureExtractor")", "feature_extractor_type is"},
             {R"("image_processor":[])", "image_processor is a list"},
             {R"("image_processor":{"resample":0})", "image_processor.resample is 0, nearest"},
         }) {
        CAPTURE(wrong.members);
        const std::string message = preprocessor_refusal(wrong.members);
        CHECK(lacks(message, "preprocessor_config.json: ") == "");
        CHECK(lacks(message, wrong.part) == "");
    }
    const auto list = [] { parse_preprocessor("[]", "preprocessor_config.json"); };
    CHECK(lacks(error_of(ErrorCode::model, list), "is a list, must be an object") == "");
}

TEST_CASE("preprocessor: the nested file comes first, an older one without images is passed by") {
    const ScratchDirectory scratch;
    const auto message = [&] {
        return error_of(ErrorCode::model, [&] { read_preprocessor(scratch.path()); });
    };
    CHECK(lacks(message(), "neither preprocessor_config.json nor image_processor in") == "");
    put_file(scratch / "processor_config.json", R"({"processor_class":"CLIPProcessor"})");
    CHECK(lacks(message(), "neither preprocessor_config.json nor image_processor in") == "");
    put_file(scratch / "preprocessor_config.json", R"({"crop_size":100})");
    CHECK(read_preprocessor(scratch.path()).crop_height == 100);
    put_file(scratch / "processor_config.json", R"({"image_processor":{"crop_size":50}})");
    CHECK(read_preprocessor(scratch.path()).crop_height == 50);
    std::filesystem::remove(scratch / "preprocessor_config.json");
    CHECK(read_preprocessor(scratch.path()).crop_height == 50);
    put_file(scratch / "processor_config.json", "{");
    CHECK(lacks(message(), "processor_config.json: not valid JSON") == "");
    CHECK(lacks(error_of(ErrorCode::model, [&] { read_preprocessor(scratch / "none"); }),
                "none does not exist") == "");
}

} // namespace
} // namespace yeoul::loader
