// Yeoul: photos in, vectors out.
//
//     #include <yeoul/engine.h>
//
//     auto engine = yeoul::Engine::open({.model = "clip-vit-base-patch32"});
//     for (const yeoul::Result& result : engine.embed({yeoul::Photo::file("cat.jpg")}))
//         if (result.error)
//             std::cerr << result.error->message << '\n';
//         else
//             use(result.embedding); // engine.info().dim floats
//
// Every failure of a call is an exception derived from `yeoul::Error`; every failure of one photo
// is in that photo's `Result`. The library never ends the process, never prints, and is safe to
// call from several threads.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <yeoul/error.h>
#include <yeoul/types.h>

namespace yeoul {

enum class LogLevel { debug, info, warning, error };

enum class Precision { automatic, fp32, bf16, fp16 };

/// Interactive photos are due within the latency target; bulk ones fill what is left, and pass them
/// once they are 2 seconds old.
enum class Priority : uint8_t { interactive, bulk };

struct EngineOptions {
    /// A model directory as on the Hugging Face hub: config.json, a preprocessor file, safetensors.
    std::filesystem::path model = {};
    /// "auto", "cpu", "cuda" or "cuda:N". "auto" takes a GPU when this build and machine have one.
    std::string device = "auto";
    /// `automatic` is fp32 on a CPU and fp16 on CUDA. What the device lacks is refused by name.
    Precision precision = Precision::automatic;
    /// The most photos in one forward pass; 0 takes the device's default (8 on a CPU, 64 on a GPU)
    /// or less, where measurements say that more gains nothing.
    int batch_size = 0;
    /// Compute streams; they share the weights and each has its own activations. 1 to 4.
    int streams = 1;
    /// Host threads: decoding has so many, and so has math, shared by the streams. On
    /// a CPU the two take turns. 0 takes the cores this process may use. Math on a CPU waits in
    /// OpenMP: where its cores have other work too, start your program with GOMP_SPINCOUNT=5000 in
    /// the environment, as Yeoul's own programs do, or passes may take many times as long.
    int threads = 0;
    /// The most bytes that the engine may hold on the device: what it allocates there and what the
    /// driver adds; on a CPU, its staging as well. 0: what the device has free. An engine that
    /// would not fit is refused before its first allocation.
    size_t memory_budget_bytes = 0;
    /// Photos with more pixels are refused (`image_too_large`) before they are decoded.
    /// The default is Pillow's own limit.
    int64_t max_pixels = 178'956'970;
    /// Turns each photo upright by its EXIF orientation. Off, because Pillow and transformers do
    /// not.
    bool exif_rotate = false;
    /// Transparent pixels (PNG, WebP) are laid on white, as transformers does since version 5. True
    /// keeps the colours under them, as transformers 4, open_clip and Pillow's convert("RGB") do.
    bool drop_alpha = false;
    /// JPEG may be decoded at 1/2, 1/4 or 1/8 scale: faster, and no longer equal to Pillow.
    bool fast_decode = false;
    /// Steers how photos are put together: they should be done so long after they arrive. It drops
    /// nothing. 0 takes the larger of 50 ms and four times what one photo takes.
    double latency_target_ms = 0;
    /// Makes the latency target a deadline of every interactive photo that has no earlier one.
    bool drop_late = false;
    /// A request is refused whole (`queue_full`) when the encoded bytes or pixels that wait would
    /// be more than this, or when it would wait longer than that. 0: no limit.
    size_t max_queue_bytes = 0;
    double max_wait_ms = 0;
    /// Loads the text side of the model too: `embed_text` and labels need it.
    bool text = false;
    /// A file for what ran when, written when the engine closes: decoding threads, batches, each
    /// copy and graph of each stream, for ui.perfetto.dev. Empty: nothing is recorded.
    std::filesystem::path trace = {};
    /// Receives what the library has to say. Called from any thread; must not throw.
    std::function<void(LogLevel, std::string_view)> log = {};
};

/// A photo as the caller has it. The engine decodes it.
struct YEOUL_API Photo {
    std::filesystem::path path;   // read by a decoding thread when `encoded` and `pixels` are empty
    std::vector<uint8_t> encoded; // JPEG, PNG, WebP, HEIC, BMP or PNM bytes
    std::vector<uint8_t> pixels;  // (height, width, 3), RGB
    int height = 0, width = 0;    // of `pixels`

    static Photo file(std::filesystem::path path);
    static Photo bytes(std::vector<uint8_t> encoded);
    static Photo rgb(std::vector<uint8_t> pixels, int height, int width);
};

struct ItemError {
    ErrorCode code;
    std::string message; // one sentence: what, which value, what to do
    /// Of `queue_full`: when there may be room; 0 when waiting does not help.
    double retry_after_ms = 0;
};

/// Where one photo's time went. `queue` is what neither decoding nor computing explains; `compute`
/// is the time of the whole forward pass that the photo was in, of `Result::batch` photos.
struct StageTimes {
    double read_ms = 0, decode_ms = 0, preprocess_ms = 0, queue_ms = 0, compute_ms = 0,
           total_ms = 0;
};

/// Labels to choose from, and how each is put into words: at the {} of every template.
struct Labels {
    std::vector<std::string> names = {}; // "red circle"
    std::vector<std::string> templates = {"a photo of a {}"};
};

/// A label and how likely it is among all labels: the softmax of CLIP.
struct Tag {
    int index = 0; // of the label
    std::string label;
    float probability = 0;
};

/// Which of some vectors are alike, by their places in the list.
struct Duplicates {
    /// Groups of at least two, each ascending, ordered by their first. Two vectors share a group
    /// when a chain of pairs with a cosine of at least the threshold joins them (DBSCAN with
    /// min_samples 2).
    std::vector<std::vector<int>> groups;
    std::vector<int> closest; // the pair with the largest cosine; empty where there is none
    float closest_cosine = 0;
};

struct Result {
    std::vector<float> embedding; // (dim); empty when `error` is set
    std::vector<Tag> tags;        // likeliest first; as many as the request asked for
    std::optional<ItemError> error;
    StageTimes times;
    int width = 0, height = 0; // of the decoded photo
    std::string format;        // "jpeg"
    int batch = 0;             // photos in the forward pass that computed it
};

struct Request {
    std::vector<Photo> photos = {};
    /// Divide each vector by its L2 norm. Off: transformers' raw `image_embeds`.
    bool normalize = false;
    /// How many of the likeliest labels each photo gets, up to 64; 0 for none. `set_labels` first.
    int tags = 0;
    Priority priority = Priority::interactive;
    /// Photos that cannot be done by then are answered with `deadline_exceeded`, before they are
    /// decoded when that is known already.
    std::optional<std::chrono::steady_clock::time_point> deadline = {};
    /// Photos not yet on the device when it is requested are answered with `cancelled`.
    std::stop_token stop = {};
    /// Called once per photo as it is finished, from an engine thread, never twice at a time for
    /// one request; must not throw or block.
    std::function<void(size_t index, const Result&)> on_item = {};
};

/// One line of what the model directory says, as understood.
struct Fact {
    std::string group, key, value;
};

/// Which kernel or plan serves an op, and why.
struct OpPlan {
    std::string op, shape, target, kernel, why;
};

struct ModelInfo {
    std::string family; // "clip"
    std::filesystem::path path;
    int dim = 0; // of the vectors
    int image_height = 0, image_width = 0;
    int64_t parameters = 0; // of the part that is run
    double gflop = 0;       // per photo
    std::vector<Fact> facts;
    std::vector<OpPlan> ops;
};

struct DeviceInfo {
    std::string kind; // "cpu", "cuda"
    std::string name; // of the processor
    DType dtype = DType::f32;
    int streams = 1, threads = 1, batch_size = 1;
    std::string pci_address = {}; // of a GPU, as NVML names it: "00000000:00:1e.0"
};

/// What one part of an engine holds.
struct MemoryUse {
    std::string tag;     // "weights", "activations", "workspace", "staging", "labels"
    bool pinned = false; // host memory that copies use; else the device's
    int64_t allocated_bytes = 0, reserved_bytes = 0;
    int64_t peak_bytes = 0; // allocated at a time, at most
};

struct EngineStats {
    int64_t photos = 0, failed = 0, batches = 0; // batches: forward passes
    double decode_seconds = 0;  // of all decoding threads: read, decode, preprocess
    double compute_seconds = 0; // of all compute streams
    int64_t weight_bytes = 0, activation_bytes = 0, staging_bytes = 0;
    double load_seconds = 0;
    std::vector<MemoryUse> memory = {};
    /// Of device and pinned memory, whoever asked for it, and calls that wait for a whole GPU:
    /// giving memory back. Both stay 0 while only photos are served; new labels and searches for
    /// duplicates among more than 1,024 vectors may raise them.
    int64_t device_allocations_since_ready = 0, device_synchronizations_since_ready = 0;

    std::array<int64_t, kErrorCodes> errors = {}; // failed photos by `ErrorCode`
    int64_t waiting = 0;                          // photos now, to be decoded or computed
    int64_t in_flight = 0;                        // photos now, admitted and not answered
    int64_t queued_bytes = 0;                     // now, of photos in flight
    /// One captured graph per batch size. Padding is batch * replays - photos.
    struct Bucket {
        int batch = 0;
        double us = 0; // of one replay, as measured at start-up
        int64_t replays = 0, photos = 0;
    };
    std::vector<Bucket> buckets;
};

class YEOUL_API Engine {
public:
    /// Loads the model and prepares everything that photos need, graphs included.
    /// Throws `Error` with code `model`, `device`, `out_of_memory` or `invalid_argument`;
    /// `out_of_memory` says what is needed, what there is and the largest batch that would fit.
    static Engine open(const EngineOptions& options);

    Engine(Engine&&) noexcept;
    Engine& operator=(Engine&&) noexcept;
    ~Engine(); // answers what is queued with `cancelled`, waits for what is running

    /// One result per photo, in order. Blocks.
    std::vector<Result> embed(Request request);
    std::vector<Result> embed(std::vector<Photo> photos);

    /// Returns at once; `on_done` gets one result per photo, in order, exactly once, from an engine
    /// thread, or from this one when there are no photos. It must not throw, block, or destroy the
    /// engine. The engine owns the request until then. Throws `Error`, code `out_of_memory`, when
    /// the host has no memory to take the request: nothing of it is kept, nothing is called.
    void submit(Request request, std::function<void(std::vector<Result>)> on_done);

    /// False once the device is lost: from then on every photo is answered with `device_lost`.
    bool ready() const;
    /// transformers' raw `text_embeds`, one of `info().dim` floats for each text, in the space of
    /// the photos' vectors. Texts beyond the model's context are cut. Blocks. Throws `Error`:
    /// `invalid_argument` without `EngineOptions::text` and for what is not UTF-8.
    std::vector<std::vector<float>> embed_text(const std::vector<std::string>& texts);

    /// Embeds the labels once and keeps them on the device. Batches that start from here on are
    /// tagged with them, in the pass that computes their vectors; a photo never gets tags of two
    /// sets. Blocks; photos go on meanwhile. Throws `Error`, code `invalid_argument`, naming the
    /// label: none, empty, not UTF-8, beyond the model's context, two that the model cannot tell
    /// apart; a template without {}; an engine without `EngineOptions::text`.
    void set_labels(const Labels& labels);

    /// The `count` likeliest labels, up to 64, of each vector of `info().dim` floats, normalized or
    /// not. A vector of zeros or with NaN gets none. Throws `Error`, code `invalid_argument`.
    std::vector<std::vector<Tag>> tag(const std::vector<std::vector<float>>& embeddings, int count);

    /// Groups vectors of one length by their cosine, normalized or not; an empty one, as of a photo
    /// that failed, is like none. Blocks. Throws `Error`: `invalid_argument` for a threshold
    /// outside (0, 1], `out_of_memory`.
    Duplicates duplicates(const std::vector<std::vector<float>>& embeddings, double threshold);

    const ModelInfo& info() const;
    const DeviceInfo& device() const;
    EngineStats stats() const;
    /// Every segment and block that the engine holds, the text side's too, as JSON, without
    /// addresses.
    std::string memory_snapshot() const;

private:
    class Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// "0.1.0", and the library's build in one line.
YEOUL_API std::string_view version();

} // namespace yeoul
