#include "launcher/commands/usage.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "launcher/config/suggest.h"

namespace trireme {
namespace {

/// The first word that is neither a command nor known to the command before it; "" when there is none.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv,
                            std::vector<std::string>& known) {
  const CLI::App* parent = &app;
  for (int i = 1; i < argc; ++i) {
    known.clear();
    const CLI::App* next = nullptr;
    for (const CLI::App* command : parent->get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(command->get_name());
      if (command->get_name() == argv[i]) next = command;
    }
    if (known.empty()) return "";  // arguments of the last command follow
    if (!next) return argv[i];
    parent = next;
  }
  return "";
}

}  // namespace

std::string usage_message(const CLI::App& app, int argc, const char* const* argv,
                          const CLI::ParseError& error) {
  std::vector<std::string> known;
  const std::string unknown = unknown_command(app, argc, argv, known);
  if (unknown.empty()) return fmt::format("{}; `trireme --help` shows what there is", error.what());
  const std::string nearest = nearest_key(unknown, known);
  return nearest.empty() ? fmt::format("{}: no such command; `trireme --help` shows what there is", unknown)
                         : fmt::format("{}: no such command; did you mean {}?", unknown, nearest);
}

CLI::Validator at_least(int64_t minimum) {
  const auto check = [minimum](std::string& text) -> std::string {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= minimum) return "";
    return fmt::format("given {}, expected an integer >= {}", text, minimum);
  };
  return CLI::Validator(check, fmt::format(">= {}", minimum));
}

}  // namespace trireme
