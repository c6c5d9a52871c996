// `trireme checkpoint list|inspect|verify|diff|export|import|repair-index`
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "launcher/commands/checkpoint_commands.h"
#include "launcher/commands/commands.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/repair_index.h"
#include "parallel/checkpoint/step_difference.h"

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

/// A line for what differs; nothing for what is equal.
std::string line_of(const TensorDifference& difference) {
  const std::string name = difference.role + " " + difference.name;
  if (!difference.mismatch.empty()) return fmt::format("{}: {}\n", name, difference.mismatch);
  if (difference.dtypes.empty() && difference.num_equal == difference.num_elements) return "";
  return fmt::format("{}: {}{} of {} values equal, largest difference {:.3g}, {:.3g} of the largest value\n",
                     name, difference.dtypes.empty() ? "" : difference.dtypes + ", ", difference.num_equal,
                     difference.num_elements, difference.max_absolute, difference.max_relative());
}

ExitCode diff(const std::string& first, const std::string& second, double tolerance) {
  const std::string a = find_step(first), b = find_step(second);
  const std::vector<TensorDifference> differences = compare_steps(a, b);
  size_t num_equal = 0, num_within = 0;
  for (const TensorDifference& difference : differences) {
    const std::string line = line_of(difference);
    if (line.empty()) ++num_equal;
    if (difference.within(tolerance)) ++num_within;
    std::cout << line;
  }
  std::cout << fmt::format("{} and {}: {} of {} tensors equal", a, b, num_equal, differences.size());
  if (tolerance > 0) std::cout << fmt::format(", {} within {:g}", num_within, tolerance);
  std::cout << '\n';
  return num_within == differences.size() ? ExitCode::kOk : ExitCode::kRanksDisagree;
}

ExitCode repair(const std::string& step) {
  switch (repair_index(step)) {
    case IndexRepair::kSound:
      std::cout << step << ": index.h5 is sound, nothing was written\n";
      break;
    case IndexRepair::kRebuilt:
      std::cout << step << ": index.h5 was made again\n";
      break;
    case IndexRepair::kRebuiltWithManifest:
      std::cout << step << ": index.h5 was made again, with another digest in manifest.json\n";
      break;
  }
  return ExitCode::kOk;
}

}  // namespace

void add_checkpoint(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand(
      "checkpoint", "List, inspect, verify, compare, average, convert and repair checkpoints");
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

  CLI::App& comparing = *command.add_subcommand(
      "diff", "Compare two steps tensor by tensor, whatever their layouts; exit code 76 where they differ");
  const auto other = std::make_shared<std::string>();
  const auto tolerance = std::make_shared<double>(0);
  comparing.add_option("A", *path, "A step directory, or a run's output directory: its newest")->required();
  comparing.add_option("B", *other, "The same")->required();
  comparing
      .add_option("--tolerance", *tolerance,
                  "Largest difference of a tensor that counts as none, as a part of its largest value")
      ->check(CLI::Range(0.0, 1.0));
  comparing.callback(
      [&action, path, other, tolerance] { action = [=] { return diff(*path, *other, *tolerance); }; });

  CLI::App& exporting = *command.add_subcommand("export", "Write a model for Hugging Face Transformers");
  exporting.footer(
      "GPT-2, Llama, BERT and Marian; from_pretrained(FOLDER) of transformers.AutoModelForCausalLM, "
      "AutoModelForPreTraining,\nAutoModelForMaskedLM, AutoModelForSequenceClassification or "
      "AutoModelForSeq2SeqLM loads it.\n\n"
      "  trireme checkpoint export runs/book --output book-hf --dtype bf16");
  const auto exported = std::make_shared<ExportOptions>();
  exporting.add_option("STEP", exported->step, "A step directory, or a run's output directory: its newest")
      ->required();
  exporting.add_option("--output", exported->output, "Folder to make")->required()->type_name("FOLDER");
  exporting.add_option("--dtype", exported->dtype, "Type of the weights; the run's where it is not given")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16"}));
  exporting.add_option("--max-file-bytes", exported->max_file_bytes, "More go into several files")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  exporting.callback([&action, exported] { action = [=] { return export_checkpoint(*exported); }; });

  CLI::App& importing = *command.add_subcommand(
      "import", "Make a run's output folder from a model of Hugging Face Transformers");
  importing.footer(
      "GPT-2, Llama, BERT and Marian, as save_pretrained() writes them. The new folder holds "
      "checkpoints/step-00000000 (weights alone),\nmodel.yaml (to include in a run file) and config.yaml.\n\n"
      "  trireme checkpoint import gpt2-hf --output runs/gpt2\n"
      "  trireme generate runs/gpt2 --prompt 'Once upon'\n"
      "  trireme train tune.yaml --set training.initialize_from=runs/gpt2");
  const auto imported = std::make_shared<ImportOptions>();
  importing.add_option("FOLDER", imported->input, "config.json, *.safetensors; tokenizer.json or vocab.txt")
      ->required();
  importing.add_option("--output", imported->output, "Folder to make")->required()->type_name("FOLDER");
  importing.callback([&action, imported] { action = [=] { return import_checkpoint(*imported); }; });

  CLI::App& averaging =
      *command.add_subcommand("average", "Average the weights of several steps into a new one");
  averaging.footer(
      "Steps of one model, whatever their layouts; means are taken in fp64. The new folder holds one step "
      "(weights "
      "alone)\nand config.yaml: evaluate, generate, export and training.initialize_from take it.\n\n"
      "  trireme checkpoint average runs/book --last 5 --output runs/book-mean\n"
      "  trireme checkpoint average runs/book --ema --output runs/book-ema\n"
      "  trireme evaluate runs/book-mean");
  const auto averaged = std::make_shared<AverageOptions>();
  averaging
      .add_option("STEP", averaged->paths,
                  "Step folders (of a run's output folder: its newest), or with --last one run")
      ->required();
  averaging.add_option("--last", averaged->last, "The newest K steps of the run")
      ->type_name("K")
      ->check(CLI::PositiveNumber);
  averaging.add_flag("--ema", averaged->ema, "The moving averages that the steps hold (optimizer.ema_decay)");
  averaging.add_option("--output", averaged->output, "Folder to make")->required()->type_name("FOLDER");
  averaging.callback([&action, averaged] { action = [=] { return average_checkpoints(*averaged); }; });

  CLI::App& repairing =
      *command.add_subcommand("repair-index", "Make index.h5 of a step again, from its manifest");
  repairing.add_option("STEP", *path, "A step directory")->required();
  repairing.callback([&action, path] { action = [path] { return repair(*path); }; });
}

}  // namespace trireme
