// The vector of one photo, and the library's typed error for a model that is not there.
#include <iostream>

#include <yeoul/engine.h>

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: consumer MODEL PHOTO\n";
        return 2;
    }
    try {
        yeoul::Engine::open({.model = "no such model"});
        std::cerr << "a missing model was opened\n";
        return 1;
    } catch (const yeoul::Error& error) {
        std::cout << "refused: " << error.what() << '\n';
    }
    auto engine = yeoul::Engine::open({.model = argv[1]});
    const auto results = engine.embed({yeoul::Photo::file(argv[2])});
    if (results.size() != 1 || results[0].error ||
        int(results[0].embedding.size()) != engine.info().dim) {
        std::cerr << "no vector of " << engine.info().dim << " floats for " << argv[2] << '\n';
        return 1;
    }
    std::cout << argv[2] << ": " << results[0].embedding.size() << " floats, version "
              << yeoul::version() << '\n';
    return 0;
}
