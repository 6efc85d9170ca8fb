// The public headers among the macros of other people's headers (X11, Windows, old Unix). The
// standard library comes first: only our own text is on trial.
#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#define Always poisoned(
#define Bool poisoned(
#define CHECK poisoned(
#define CHECK_EQ poisoned(
#define DEBUG poisoned(
#define ERROR poisoned(
#define IN poisoned(
#define INFO poisoned(
#define LOG poisoned(
#define None poisoned(
#define OPTIONAL poisoned(
#define OUT poisoned(
#define REQUIRE poisoned(
#define Status poisoned(
#define Success poisoned(
#define WARNING poisoned(
#define far poisoned(
#define interface poisoned(
#define major poisoned(
#define max poisoned(
#define min poisoned(
#define minor poisoned(
#define near poisoned(
#define small poisoned(
#define unix poisoned(

#include <yeoul/engine.h>
#include <yeoul/error.h>
#include <yeoul/types.h>
