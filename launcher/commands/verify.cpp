// `trireme verify RUN`
#include "parallel/verify/verify.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "launcher/commands/commands.h"
#include "launcher/commands/run_file.h"
#include "launcher/commands/usage.h"
#include "launcher/config/plan.h"
#include "launcher/config/rank_options.h"
#include "parallel/verify/shrink.h"

namespace trireme {
namespace {

/// Two replicas where the batch lets there be two.
int64_t usual_ranks(const RunConfig& config) {
  const ParallelConfig& parallel = config.parallel;
  const int64_t replica = parallel.tensor_model_parallel_size * parallel.pipeline_model_parallel_size *
                          parallel.context_parallel_size * parallel.expert_model_parallel_size;
  const TrainingConfig& training = config.training;
  const bool divides = training.global_batch_size % (2 * training.micro_batch_size) == 0;
  return replica * (divides ? 2 : 1);
}

verify::VerifyCase full_case(const RunConfig& config, int64_t num_ranks) {
  verify::VerifyCase full;
  full.num_ranks = static_cast<int>(num_ranks);
  full.rank = rank_options(config);
  full.packed_documents = config.data.document_mask;
  full.hidden_tokens = config.data.mask_by_attention;
  return full;
}

void print_shrunk(const RunFile& file, const verify::Shrunk& shrunk) {
  fmt::print("{}: one step of its layout and of one rank, on threads, with made-up tokens\nshrunk:",
             file.path);
  for (const auto& change : shrunk.changes)
    fmt::print("\n  {:38} {:>12} -> {}", change.key, change.from, change.to);
  fmt::print("\n");
  for (const std::string& dropped : shrunk.dropped) fmt::print("not shown: {}\n", dropped);
}

void print_verdict(const verify::Verdict& verdict) {
  const verify::Difference& difference = verdict.difference;
  const auto& gradient = difference.worst_gradient();
  const auto& weight = difference.worst_weight();
  const verify::Bounds& bounds = verdict.bounds;
  const auto row = [&](const char* what, double error, double bound, const std::string& where) {
    fmt::print("  {:6} {:26} {:>8.1e}  {:>8.0e}  {:10} {}\n", name_of(verdict.precision), what, error, bound,
               error <= bound ? "agrees" : "DISAGREES", where);
  };
  row("gradients of 2 steps", gradient.gradient, bounds.gradient, gradient.name);
  row("gradient norm", difference.grad_norm, bounds.grad_norm, "");
  row("loss", difference.loss, bounds.loss, "");
  row("weights after 2 steps", weight.weight, bounds.weight, weight.name);
  fmt::print("  {:6} {:26} {:>8}  {:>8}  {:10}\n", name_of(verdict.precision), "replicated parts",
             difference.problems.size(), 0, difference.problems.empty() ? "agree" : "DISAGREE");
}

ExitCode verify_run(const RunFile& file, int64_t num_ranks) {
  RunConfig config = file.load();
  if (num_ranks == 0) num_ranks = usual_ranks(config);
  config = plan_run(std::move(config), num_ranks).config;
  const verify::Shrunk shrunk = verify::shrink(full_case(config, num_ranks));
  print_shrunk(file, shrunk);

  const std::vector<verify::Verdict> verdicts = verify::verify(shrunk.run);
  fmt::print("\n  {:6} {:26} {:>8}  {:>8}  {:10} largest at\n", "in", "", "error", "bound", "");
  for (const verify::Verdict& verdict : verdicts) print_verdict(verdict);
  std::fflush(stdout);
  verify::require_agreement(file.path, verdicts);
  fmt::print("\nthis layout gives the gradients of one rank\n");
  return ExitCode::kOk;
}

}  // namespace

void add_verify(CLI::App& app, CommandAction& action) {
  CLI::App& command =
      *app.add_subcommand("verify", "Check that the layout of a run file gives the gradients of one rank");
  command.footer(
      "Shrinks the run, keeping every choice of structure (and says what it changed), runs two steps of its\n"
      "layout and of one rank with thread ranks, in fp64 and then in the run's precision, and compares "
      "every\n"
      "parameter's gradient, the gradient norm, the loss, the weights and the copies of replicated parts.\n"
      "Needs no mpirun, no data and a few seconds. Exit code 76: they disagree.\n\n"
      "  trireme verify run.yaml\n"
      "  trireme verify run.yaml --ranks 64 --set tensor_model_parallel_size=8");
  const auto file = std::make_shared<RunFile>();
  const auto num_ranks = std::make_shared<int64_t>(0);
  file->add_to(command);
  command
      .add_option("--ranks", *num_ranks,
                  "Ranks the run is meant for; without it: two replicas, where the batch can be divided")
      ->check(at_least(1));
  command.callback([&action, file, num_ranks] { action = [=] { return verify_run(*file, *num_ranks); }; });
}

}  // namespace trireme
