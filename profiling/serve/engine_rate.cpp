// What the engine does without a server around it: photos from bytes to vectors. For each line
// "PHOTOS CALLERS" on stdin it prints one line of JSON; compare_serve.py sets the server's rate
// beside it. Each caller waits for its photo before it submits the next, as a client with one
// connection does; with 0 callers all photos are submitted at once, so that every batch is the best
// one.
//     engine_rate MODEL PRECISION THREADS PHOTO...
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <iostream>
#include <iterator>
#include <string>

#include <yeoul/engine.h>

#include "apps/cli/openmp_waits.h"

namespace {

std::vector<uint8_t> read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in)
        throw yeoul::Error(yeoul::ErrorCode::io, "cannot read '" + path + "'");
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

using Files = std::vector<std::vector<uint8_t>>;

void check(const yeoul::Result& result) {
    if (result.error)
        throw yeoul::Error(result.error->code, result.error->message);
}

void at_once(yeoul::Engine& engine, const Files& files, size_t count) {
    std::vector<yeoul::Photo> photos;
    for (size_t i = 0; i < count; ++i)
        photos.push_back(yeoul::Photo::bytes(files[i % files.size()]));
    for (const yeoul::Result& result : engine.embed(std::move(photos)))
        check(result);
}

void by_callers(yeoul::Engine& engine, const Files& files, size_t count, size_t callers) {
    std::atomic<size_t> next = 0;
    std::vector<std::future<void>> calling;
    for (size_t caller = 0; caller < callers; ++caller)
        calling.push_back(std::async(std::launch::async, [&] {
            for (size_t i; (i = next++) < count;)
                check(engine.embed({yeoul::Photo::bytes(files[i % files.size()])}).at(0));
        }));
    for (std::future<void>& caller : calling)
        caller.get();
}

/// Seconds for `count` photos, from the first byte to the last vector.
double seconds_for(yeoul::Engine& engine, const Files& files, size_t count, size_t callers) {
    const auto start = std::chrono::steady_clock::now();
    if (callers == 0)
        at_once(engine, files, count);
    else
        by_callers(engine, files, count, callers);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

} // namespace

int main(int argc, char** argv) try {
    using yeoul::Precision;
    yeoul::cli::keep_openmp_waits_short(argv); // as engine-serve
    if (argc < 5)
        throw yeoul::Error(yeoul::ErrorCode::invalid_argument,
                           "usage: engine_rate MODEL fp32|bf16 THREADS PHOTO...");
    yeoul::Engine engine = yeoul::Engine::open(
        {.model = argv[1],
         .precision = argv[2] == std::string("bf16") ? Precision::bf16 : Precision::fp32,
         .threads = std::stoi(argv[3])});
    Files files;
    for (int i = 4; i < argc; ++i)
        files.push_back(read(argv[i]));
    std::cout << "{\"batch\":" << engine.device().batch_size << '}' << std::endl;
    for (size_t count = 0, callers = 0; std::cin >> count >> callers;)
        std::cout << "{\"photos\":" << count
                  << ",\"seconds\":" << seconds_for(engine, files, count, callers) << '}'
                  << std::endl;
} catch (const std::exception& error) {
    std::cerr << "engine_rate: " << error.what() << '\n';
    return 1;
}
