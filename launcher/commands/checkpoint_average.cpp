// `trireme checkpoint average STEP... --output FOLDER`
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/io/directory.h"
#include "core/io/file.h"
#include "launcher/commands/checkpoint_commands.h"
#include "launcher/commands/new_folder.h"
#include "launcher/config/load.h"
#include "launcher/config/print.h"
#include "parallel/checkpoint/average_steps.h"
#include "parallel/checkpoint/inspection.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> steps_of(const AverageOptions& options) {
  if (options.last == 0) {
    std::vector<std::string> steps;
    for (const std::string& path : options.paths) steps.push_back(find_step(path));
    return steps;
  }
  if (options.paths.size() != 1)
    throw ConfigError(
        fmt::format("--last {}: given {} folders, expected one: a run's output folder or its `checkpoints`",
                    options.last, options.paths.size()));
  const std::string below = options.paths.front() + "/checkpoints";
  return last_steps(fs::is_directory(below) ? below : options.paths.front(), options.last);
}

}  // namespace

ExitCode average_checkpoints(const AverageOptions& options) {
  const std::vector<std::string> steps = steps_of(options);
  const std::string output = new_folder(options.output);
  Context context;
  io::TemporaryDirectory folder(fmt::format("{}.tmp-{}", output, ::getpid()));
  const TrainingState state = average_steps(context, folder.path() + "/checkpoints", {steps, options.ema});
  RunConfig config = parse_run_config(state.config_json, steps.back() + "/manifest.json");
  config.training.output_dir = output;
  io::write_new_file(folder.path() + "/config.yaml", to_yaml(config));
  folder.commit(output);
  fmt::print("{}: the mean of {}\n", output, options.ema ? "moving averages" : "weights");
  for (const std::string& step : steps) fmt::print("  {}\n", step);
  return ExitCode::kOk;
}

}  // namespace trireme
