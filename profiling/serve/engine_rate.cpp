// What the engine does without a server around it: photos from bytes to vectors, all submitted at
// once, so that every batch is the best one. For each line "PHOTOS" on stdin it prints one line of
// JSON; compare_serve.py sets the server's rate beside it.
//     engine_rate MODEL PRECISION THREADS PHOTO...
#include <chrono>
#include <fstream>
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

/// Seconds for `count` photos, from the first byte to the last vector.
double seconds_for(yeoul::Engine& engine, const std::vector<std::vector<uint8_t>>& files,
                   size_t count) {
    std::vector<yeoul::Photo> photos;
    for (size_t i = 0; i < count; ++i)
        photos.push_back(yeoul::Photo::bytes(files[i % files.size()]));
    const auto start = std::chrono::steady_clock::now();
    for (const yeoul::Result& result : engine.embed(std::move(photos)))
        if (result.error)
            throw yeoul::Error(result.error->code, result.error->message);
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
    std::vector<std::vector<uint8_t>> files;
    for (int i = 4; i < argc; ++i)
        files.push_back(read(argv[i]));
    std::cout << "{\"batch\":" << engine.device().batch_size << '}' << std::endl;
    for (size_t count = 0; std::cin >> count;)
        std::cout << "{\"photos\":" << count << ",\"seconds\":" << seconds_for(engine, files, count)
                  << '}' << std::endl;
} catch (const std::exception& error) {
    std::cerr << "engine_rate: " << error.what() << '\n';
    return 1;
}
