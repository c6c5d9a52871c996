// `trireme config check|print|schema|docs|keys`
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "core/data/sample_source.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/run_file.h"
#include "launcher/commands/usage.h"
#include "launcher/config/plan.h"
#include "launcher/config/print.h"

namespace trireme {
namespace {

ExitCode check(const RunFile& file, int64_t num_ranks) {
  const RunPlan plan = plan_run(file.load(), num_ranks);
  const RunConfig& config = plan.config;
  const uint64_t seed = static_cast<uint64_t>(config.training.seed);
  make_training_source(config.data, plan.needs, seed);
  make_validation_source(config.data, plan.needs, seed);
  std::cout << file.path << ": ok\nbatch: " << describe(plan.batch) << '\n';
  return ExitCode::kOk;
}

ExitCode print(const RunFile& file, bool comments, bool json) {
  const RunConfig config = file.load();
  std::cout << (json ? to_canonical_json(config) + "\n" : to_yaml(config, comments));
  return ExitCode::kOk;
}

void add_text(CLI::App& parent, CommandAction& action, const char* name, const char* help,
              std::string (*text)()) {
  parent.add_subcommand(name, help)->callback([&action, text] {
    action = [text] {
      std::cout << text();
      return ExitCode::kOk;
    };
  });
}

}  // namespace

void add_config(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("config", "Check, print and document run files");
  command.require_subcommand(1);

  const auto file = std::make_shared<RunFile>();
  CLI::App& checking =
      *command.add_subcommand("check", "Everything that training would check before its first step");
  const auto num_ranks = std::make_shared<int64_t>(1);
  file->add_to(checking);
  checking.add_option("--ranks", *num_ranks, "Ranks the run is meant for")->check(at_least(1));
  checking.callback([&action, file, num_ranks] { action = [=] { return check(*file, *num_ranks); }; });

  CLI::App& printing = *command.add_subcommand("print", "The configuration with every value");
  const auto comments = std::make_shared<bool>(false), json = std::make_shared<bool>(false);
  file->add_to(printing);
  printing.add_flag("--comments", *comments, "Explain every key");
  printing.add_flag("--json", *json, "One line of JSON with sorted keys");
  printing.callback(
      [&action, file, comments, json] { action = [=] { return print(*file, *comments, *json); }; });

  add_text(command, action, "schema", "JSON Schema of run files, for editors", to_json_schema);
  add_text(command, action, "docs", "Every key, as Markdown tables", to_markdown);
  add_text(command, action, "keys", "Every key, one a line", to_key_list);
}

}  // namespace trireme
