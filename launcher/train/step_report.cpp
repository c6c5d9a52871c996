#include "launcher/train/step_report.h"

#include <nlohmann/json.hpp>

namespace trireme {
namespace {

using json = nlohmann::ordered_json;

json or_null(const std::optional<double>& value) {
  return value ? json(*value) : json(nullptr);
}

}  // namespace

std::string to_json(const StepReport& report) {
  json memory;
  for (int i = 0; i < kNumMemoryCategories; ++i)
    memory[name_of(static_cast<MemoryCategory>(i))] = report.memory_by_category[static_cast<size_t>(i)];
  json line = {{"step", report.step},
               {"loss", report.loss},
               {"lr", report.lr},
               {"grad_norm", report.grad_norm},
               {"loss_scale", report.loss_scale},
               {"skipped_steps", report.skipped_steps},
               {"tokens", report.tokens},
               {"tokens_per_second", report.tokens_per_second},
               {"step_seconds", report.step_seconds},
               {"mfu", or_null(report.mfu)},
               {"mfu_causal", or_null(report.mfu_causal)},
               {"tflops", or_null(report.tflops)},
               {"memory", report.memory},
               {"memory_by_category", memory},
               {"communication", report.communication},
               {"waiting", report.waiting},
               {"phases", report.phases}};
  if (report.disagreement) line["disagreement"] = *report.disagreement;
  return line.dump();
}

std::string evaluation_json(int64_t step, const EvaluationResult& result, double seconds) {
  json line = {{"step", step},
               {"validation_loss", result.loss},
               {"validation_tokens", result.tokens()},
               {"validation_seconds", seconds}};
  if (const auto accuracy = accuracy_of(result.losses[LossTerm::kTokens]))
    line["validation_token_accuracy"] = *accuracy;
  if (const auto accuracy = accuracy_of(result.losses[LossTerm::kSamples]))
    line["validation_sample_accuracy"] = *accuracy;
  return line.dump();
}

std::string save_json(const SaveReport& report) {
  json save;
  if (report.error) {
    save["error"] = report.error->what();
  } else {
    save = {{"stall_seconds", report.stall_seconds},
            {"commit_seconds", report.commit_seconds},
            {"snapshot_bytes_per_second", or_null(snapshot_rate(report))},
            {"write_bytes_per_second", write_rate(report)},
            {"bytes", report.file_bytes},
            {"replica_bytes", report.replica_bytes},
            {"skipped_saves", report.num_skipped}};
  }
  return json{{"step", report.step}, {"checkpoint", save}}.dump();
}

std::optional<double> snapshot_rate(const SaveReport& report) {
  if (report.snapshot_seconds <= 0) return std::nullopt;
  return static_cast<double>(report.tensor_bytes) / report.snapshot_seconds;
}

double write_rate(const SaveReport& report) {
  return static_cast<double>(report.file_bytes) / report.write_seconds;
}

}  // namespace trireme
