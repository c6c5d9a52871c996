// `trireme checkpoint list|inspect|verify`
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/trained_model.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/manifest.h"

namespace trireme {
namespace {

using checkpoint::Manifest;
using checkpoint::SavedTensor;

constexpr double kMiB = 1024.0 * 1024.0;

/// The `checkpoints` directory meant by `path`, which may also be a run's output directory.
std::string checkpoints_of(const std::string& path) {
  const std::string below = path + "/checkpoints";
  if (std::filesystem::is_directory(below)) return below;
  if (!std::filesystem::is_directory(path))
    throw CheckpointError(fmt::format("{}: no such folder; give the output folder of a run", path));
  return path;
}

ExitCode list(const std::string& path) {
  const std::vector<StepSummary> steps = list_checkpoints(checkpoints_of(path));
  std::cout << fmt::format("{:>10} {:>12} {:>16}  {}\n", "step", "MiB", "tokens", "status");
  for (const StepSummary& step : steps)
    std::cout << (step.damage.empty()
                      ? fmt::format("{:>10} {:>12.1f} {:>16}  complete\n", step.step,
                                    static_cast<double>(step.num_bytes) / kMiB, step.tokens)
                      : fmt::format("{:>10} {:>12} {:>16}  {}\n", step.step, "-", "-", step.damage));
  if (steps.empty()) std::cout << "no checkpoint in '" << checkpoints_of(path) << "'\n";
  return ExitCode::kOk;
}

int64_t bytes_of(const SavedTensor& tensor) {
  int64_t bytes = 0;
  for (const auto& saved : tensor.boxes) bytes += saved.num_bytes;
  return bytes;
}

void print_table(const std::string& path, const Manifest& manifest) {
  const TrainingState& state = manifest.state;
  std::vector<std::string> libraries;
  for (const auto& [name, version] : manifest.libraries) libraries.push_back(name + " " + version);
  std::cout << fmt::format(
      "{}\nformat {}, written by {} ({})\nrun {}{}\nstep {}, {} tokens, {} samples, precision {}\n"
      "{} ranks, mesh {}\narchitecture {}\ntokenizer {}\ndata {}\noptimizer {}\n\n",
      path, manifest.format_version, manifest.writer, fmt::join(libraries, ", "), state.run_id,
      state.parent_run_id.empty() ? "" : ", restored from run " + state.parent_run_id, state.step,
      state.tokens, state.samples, state.precision, manifest.num_ranks, state.mesh_json,
      state.architecture_json, state.tokenizer_hash.empty() ? "none" : state.tokenizer_hash,
      state.dataset_json, state.optimizer_json);
  size_t width = 0;
  for (const SavedTensor& tensor : manifest.tensors)
    width = std::max(width, tensor.role.size() + 1 + tensor.name.size());
  for (const SavedTensor& tensor : manifest.tensors)
    std::cout << fmt::format("{:<{}}  {:<8}  {:>14}  {} boxes\n", tensor.role + " " + tensor.name, width,
                             name_of(tensor.dtype), to_string(tensor.shape), tensor.boxes.size());
}

void print_json(const Manifest& manifest) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const SavedTensor& tensor : manifest.tensors)
    tensors.push_back({{"role", tensor.role},
                       {"name", tensor.name},
                       {"dtype", name_of(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"nbytes", bytes_of(tensor)},
                       {"boxes", tensor.boxes.size()}});
  nlohmann::ordered_json root = nlohmann::ordered_json::parse(checkpoint::head_json(manifest));
  root["tensors"] = std::move(tensors);
  std::cout << root.dump(1) << '\n';
}

ExitCode inspect(const std::string& path, bool json) {
  const bool is_step = std::filesystem::path(path).filename().string().starts_with("step-");
  const std::string step = is_step ? path : find_step(path);
  const Manifest manifest = checkpoint::load_manifest(step);
  if (json) {
    print_json(manifest);
  } else {
    print_table(step, manifest);
  }
  return ExitCode::kOk;
}

ExitCode verify(const std::string& path) {
  std::vector<std::string> steps;
  if (std::filesystem::exists(path + "/" + checkpoint::kManifestName) ||
      std::filesystem::path(path).filename().string().starts_with("step-")) {
    steps.push_back(path);
  } else {
    for (const StepSummary& step : list_checkpoints(checkpoints_of(path))) steps.push_back(step.path);
  }
  if (steps.empty()) throw CheckpointError("no checkpoint in '" + checkpoints_of(path) + "'");
  ExitCode exit_code = ExitCode::kOk;
  for (const std::string& step : steps) {
    const std::vector<std::string> damages = verify_checkpoint(step);
    if (damages.empty()) {
      std::cout << step << ": ok\n";
      continue;
    }
    exit_code = ExitCode::kBadData;
    for (const std::string& damage : damages) std::cout << step << ": " << damage << '\n';
  }
  return exit_code;
}

}  // namespace

void add_checkpoint(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("checkpoint", "List, inspect and verify checkpoints");
  command.require_subcommand(1);
  const auto path = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);

  CLI::App& listing = *command.add_subcommand("list", "Steps, sizes and whether they are complete");
  listing.add_option("DIR", *path, "A run's output directory or its `checkpoints`")->required();
  listing.callback([&action, path] { action = [path] { return list(*path); }; });

  CLI::App& inspecting = *command.add_subcommand("inspect", "What is in a step: state, tensors, versions");
  inspecting.add_option("STEP", *path, "A step directory, or a run's output directory: its newest")
      ->required();
  inspecting.add_flag("--json", *json, "As JSON");
  inspecting.callback([&action, path, json] { action = [=] { return inspect(*path, *json); }; });

  CLI::App& verifying =
      *command.add_subcommand("verify", "Read every byte and check every digest; exit code 65 on damage");
  verifying.add_option("PATH", *path, "A step directory, or a directory of steps")->required();
  verifying.callback([&action, path] { action = [path] { return verify(*path); }; });
}

}  // namespace trireme
