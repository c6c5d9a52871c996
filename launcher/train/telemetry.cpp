#include "launcher/train/telemetry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "launcher/train/console.h"

namespace trireme {
namespace {

void print_line(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

}  // namespace

Telemetry::Telemetry(const RunConfig& config, int64_t last_step)
    : metrics_(config.training.output_dir + "/metrics.jsonl", last_step),
      log_interval_(config.training.log_interval),
      train_iters_(config.training.train_iters) {
  if (config.training.tensorboard)
    tensorboard_ =
        std::make_unique<TensorBoardWriter>(config.training.output_dir + "/tensorboard", last_step);
}

void Telemetry::step(const StepReport& report) {
  metrics_.write(to_json(report));
  // The first step of a process also makes plans and buffers: the second one's time replaces its own.
  seconds_per_step_ =
      ++num_steps_ <= 2 ? report.step_seconds : 0.9 * seconds_per_step_ + 0.1 * report.step_seconds;
  if (tensorboard_) {
    std::vector<std::pair<std::string, double>> scalars = {
        {"train/loss", report.loss},
        {"train/lr", report.lr},
        {"train/grad_norm", report.grad_norm},
        {"speed/tokens_per_second", report.tokens_per_second},
        {"speed/step_seconds", report.step_seconds},
        {"memory/peak_bytes", static_cast<double>(report.memory)}};
    if (report.disagreement) scalars.emplace_back("train/disagreement", *report.disagreement);
    if (report.loss_scale != 1) scalars.emplace_back("train/loss_scale", report.loss_scale);
    if (report.skipped_steps > 0)
      scalars.emplace_back("train/skipped_steps", static_cast<double>(report.skipped_steps));
    if (report.tflops) scalars.emplace_back("speed/tflops", *report.tflops);
    if (report.mfu) scalars.emplace_back("speed/mfu", *report.mfu);
    for (const auto& [phase, seconds] : report.phases) scalars.emplace_back("phase/" + phase, seconds);
    tensorboard_->write(report.step, scalars);
  }
  if (report.step % log_interval_ == 0 || report.step == train_iters_)
    print_line(progress_line(report, train_iters_, seconds_per_step_));
}

void Telemetry::evaluation(int64_t step, const EvaluationResult& result, double seconds) {
  metrics_.write(evaluation_json(step, result, seconds));
  std::vector<std::pair<std::string, double>> scalars = {{"validation/loss", result.loss}};
  std::string line = fmt::format("step {}  validation loss {:.4f}", step, result.loss);
  if (const auto perplexity = perplexity_of(result)) line += fmt::format("  perplexity {:.2f}", *perplexity);
  std::vector<std::string> counted;
  const auto add_accuracy = [&](const char* of, LossTerm term) {
    const auto accuracy = accuracy_of(result.losses[term]);
    if (!accuracy) return;
    counted.push_back(fmt::format("{} {}s", count_text(static_cast<double>(result.losses[term].count)), of));
    scalars.emplace_back(fmt::format("validation/{}_accuracy", of), *accuracy);
    line += fmt::format("  {} accuracy {:.1f} %", of, 100 * *accuracy);
  };
  add_accuracy("token", LossTerm::kTokens);
  add_accuracy("sample", LossTerm::kSamples);
  if (tensorboard_) tensorboard_->write(step, scalars);
  print_line(fmt::format("{}  ({} in {})", line, fmt::join(counted, ", "), duration_text(seconds)));
}

void Telemetry::save(const SaveReport& report) {
  metrics_.write(save_json(report));
  if (report.error) return;
  if (tensorboard_) {
    std::vector<std::pair<std::string, double>> scalars = {
        {"checkpoint/stall_seconds", report.stall_seconds},
        {"checkpoint/commit_seconds", report.commit_seconds},
        {"checkpoint/write_bytes_per_second", write_rate(report)},
        {"checkpoint/bytes", static_cast<double>(report.file_bytes)},
        {"checkpoint/replica_bytes", static_cast<double>(report.replica_bytes)},
        {"checkpoint/skipped_saves", static_cast<double>(report.num_skipped)}};
    if (const std::optional<double> rate = snapshot_rate(report))
      scalars.emplace_back("checkpoint/snapshot_bytes_per_second", *rate);
    tensorboard_->write(report.step, scalars);
  }
  print_line(save_line(report));
}

}  // namespace trireme
