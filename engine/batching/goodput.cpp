#include "engine/batching/goodput.h"

#include <algorithm>

#include "engine/batching/wave_model.h"

namespace yeoul::batching {
namespace {

constexpr int kMostBatch = 128;
constexpr double kTimeouts[] = {0, 0.02, 0.05, 0.1, 0.2, 0.4}; // of the target
constexpr int kHalvings = 10;

std::vector<BatchCost> between(const std::vector<BatchCost>& points) {
    std::vector<BatchCost> curve;
    for (size_t i = 0; i + 1 < points.size(); ++i) {
        const double step =
            (points[i + 1].us - points[i].us) / (points[i + 1].batch - points[i].batch);
        for (int batch = points[i].batch; batch < points[i + 1].batch; ++batch)
            curve.push_back({batch, points[i].us + step * (batch - points[i].batch)});
    }
    curve.push_back(points.back());
    return curve;
}

template <class Better>
Run best_run(const std::string& arm, const ArmSetup& setup, Better better,
             const std::function<Run(const ArmSetup&)>& run) {
    Run best = run(setup);
    if (arm != "best-timeout")
        return best;
    for (double share : kTimeouts) {
        ArmSetup other = setup;
        other.timeout_ns = static_cast<int64_t>(share * static_cast<double>(setup.target_ns));
        if (other.timeout_ns == setup.timeout_ns)
            continue;
        const Run candidate = run(other);
        if (better(candidate, best))
            best = candidate;
    }
    return best;
}

Run run_once(const std::string& arm, const ArmSetup& setup, const TrafficAt& traffic,
             double per_second) {
    const std::unique_ptr<Arm> one = make_arm(arm, setup);
    return {per_second, setup.timeout_ns, simulate(*one, setup, traffic(per_second))};
}

} // namespace

const std::vector<std::string> kCurves = {"t4-b32",       "t4-b16",       "t4-l14",
                                          "t4-b32-tiles", "t4-b16-tiles", "ft-b16"};

std::vector<BatchCost> named_curve(const std::string& name) {
    if (name == "t4-b32")
        return wave_model(t4(), kClipB32, kMostBatch);
    if (name == "t4-b16")
        return wave_model(t4(), kClipB16, kMostBatch);
    if (name == "t4-l14")
        return wave_model(t4(), kClipL14, kMostBatch);
    if (name == "t4-b32-tiles")
        return wave_model(t4_many_tiles(), kClipB32, kMostBatch);
    if (name == "t4-b16-tiles")
        return wave_model(t4_many_tiles(), kClipB16, kMostBatch);
    YEOUL_REQUIRE(name == "ft-b16", "no curve is called '" << name << "'");
    // FasterTransformer's ViT guide: fp16 on a T4; beyond 32 at the rate of 32.
    return between({{1, 3430}, {8, 14460}, {16, 28770}, {32, 57220}, {128, 228880}});
}

Run run_at(const std::string& arm, const ArmSetup& setup, const TrafficAt& traffic,
           double per_second) {
    const auto better = [&setup](const Run& a, const Run& b) {
        return setup.deadlines ? a.result.in_time > b.result.in_time
                               : a.result.album.p99_ms < b.result.album.p99_ms;
    };
    return best_run(arm, setup, better, [&](const ArmSetup& other) {
        return run_once(arm, other, traffic, per_second);
    });
}

Run find_goodput(const std::string& arm, const ArmSetup& setup, const TrafficAt& traffic,
                 double most_per_second) {
    const auto better = [](const Run& a, const Run& b) { return a.per_second > b.per_second; };
    return best_run(arm, setup, better, [&](const ArmSetup& other) {
        Run best;
        double low = 0, high = most_per_second;
        for (int i = 0; i < kHalvings; ++i) {
            const double middle = (low + high) / 2;
            Run run = run_once(arm, other, traffic, middle);
            const bool good = run.result.in_time_share() >= kGoodputShare;
            (good ? low : high) = middle;
            if (good)
                best = std::move(run);
        }
        return best;
    });
}

} // namespace yeoul::batching
