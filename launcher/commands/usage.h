#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace trireme {

/// What is wrong with a command line, with the nearest command where one was misspelt.
std::string usage_message(const CLI::App& app, int argc, const char* const* argv,
                          const CLI::ParseError& error);

/// Takes integers from `minimum` up.
CLI::Validator at_least(int64_t minimum);

}  // namespace trireme
