#pragma once

#include <functional>

#include "core/base/exit_code.h"

namespace CLI {
class App;
}

namespace trireme {

/// What the chosen subcommand does once the command line is parsed. Throws Error; main prints it and exits
/// with its code.
using CommandAction = std::function<ExitCode()>;

// Each adds its subcommand with its options and help, and sets `action` when it is chosen.
void add_train(CLI::App& app, CommandAction& action);
void add_prepare(CLI::App& app, CommandAction& action);
void add_tokenize(CLI::App& app, CommandAction& action);
void add_evaluate(CLI::App& app, CommandAction& action);
void add_bleu(CLI::App& app, CommandAction& action);
void add_generate(CLI::App& app, CommandAction& action);
void add_config(CLI::App& app, CommandAction& action);
void add_verify(CLI::App& app, CommandAction& action);
void add_checkpoint(CLI::App& app, CommandAction& action);
void add_doctor(CLI::App& app, CommandAction& action);

}  // namespace trireme
