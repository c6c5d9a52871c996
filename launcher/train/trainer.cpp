#include "launcher/train/trainer.h"

#include <fmt/format.h>

#include <chrono>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/models/flops.h"
#include "core/optim/learning_rate.h"
#include "launcher/train/console.h"
#include "launcher/train/evaluation.h"
#include "parallel/pipeline/gather_timeline.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Adds `sign` times what was counted to a report, by group: "tensor", "data", "pipeline", ...
void add_communication(StepReport& report, const CommCounters& counters, int sign) {
  for (const auto& [call, entry] : counters.entries) {
    const std::string group = call.substr(0, call.find('/'));
    report.communication[group] += sign * entry.bytes;
    report.waiting[group] += sign * entry.wait_seconds;
  }
}

}  // namespace

ExitCode Trainer::run() {
  print_start();
  if (state_.step >= config_.training.train_iters)
    say(fmt::format("nothing is left to do: training.train_iters is {}", config_.training.train_iters));
  if (early_stopping_->should_stop())
    say(fmt::format("nothing is left to do: stopped early, {}", early_stopping_->reason()));
  while (state_.step < config_.training.train_iters && !early_stopping_->should_stop()) {
    const bool stop = train_one_step();
    const bool end = state_.step == config_.training.train_iters;
    const bool best = (end || due(config_.training.eval_interval)) && evaluate_now();
    if (early_stopping_->should_stop())
      say(fmt::format("stopped early after step {}: {}", state_.step, early_stopping_->reason()));
    const bool last = end || early_stopping_->should_stop();
    if (stop && !last) {
      save(true);
      say(fmt::format("stopped by a signal after step {}: saved; the same command goes on from here",
                      state_.step));
      return ExitCode::kPreempted;
    }
    save_what_is_due(last, best);
  }
  conclude(checkpoints_->wait(), Next::kTraining);
  say(fmt::format("done: step {}, {} tokens, peak memory of a rank {}", state_.step,
                  count_text(static_cast<double>(state_.tokens)),
                  bytes_text(context_.allocator.ledger().peak)));
  return ExitCode::kOk;
}

bool Trainer::train_one_step() {
  const int64_t step = state_.step + 1;
  const double lr = learning_rate(config_.optimizer, config_.training.train_iters, step);
  context_.trace.clear();
  const CommCounters before = rank_->mesh().counters();
  const auto start = Clock::now();
  const StepResult result = rank_->step().run(
      step, [this] { return std::move(*prefetcher_->next()); }, lr, stop_requested_());
  const double seconds = seconds_since(start);
  const CommCounters after = rank_->mesh().counters();

  state_.step = step;
  state_.tokens += result.num_tokens;
  state_.samples += plan_.batch.global_batch_size;
  StepReport report = report_of(result, lr, seconds);
  add_communication(report, after, 1);
  add_communication(report, before, -1);
  if (telemetry_) telemetry_->step(report);
  checkpoint_seconds_ = 0;
  if (++num_steps_ == config_.training.timeline_step) draw_timeline();
  return result.stop_requested;
}

void Trainer::draw_timeline() {
  const Timeline timeline = gather_timeline(world_, rank_->engine().timeline());
  if (world_.rank() != 0) return;
  const std::string path = config_.training.output_dir + "/timeline";
  replace_file(path + ".svg", to_svg(timeline));
  replace_file(path + ".json", to_chrome_trace(timeline));
  if (rank_->mesh().pipeline().size() > 1)
    say(fmt::format("step {}  drawn in {}.svg: {:.1f} % of the ranks' time without forward or backward",
                    state_.step, path, 100 * bubble_fraction(timeline)));
}

StepReport Trainer::report_of(const StepResult& result, double lr, double seconds) const {
  StepReport report;
  report.step = state_.step;
  report.loss = result.loss;
  if (config_.model.disagreement != Disagreement::kNone)
    report.disagreement = -result.losses[LossTerm::kDisagreement] / config_.model.disagreement_coefficient;
  report.lr = lr;
  report.grad_norm = result.grad_norm;
  report.tokens = state_.tokens;
  report.tokens_per_second = static_cast<double>(result.num_tokens) / seconds;
  report.step_seconds = seconds;

  if (counts_operations()) {
    const FlopCount flops = flops_per_token(rank_->model(), config_.model, config_.data.seq_length);
    report.tflops = report.tokens_per_second * flops.full * 1e-12;
    if (total_peak_tflops_ > 0) {
      report.mfu = *report.tflops / total_peak_tflops_;
      report.mfu_causal = *report.mfu * flops.causal / flops.full;
    }
  }

  report.loss_scale = result.loss_scale;
  report.skipped_steps = result.num_skipped;
  const MemoryLedger ledger = context_.allocator.ledger();
  report.memory = ledger.peak;
  report.memory_by_category = ledger.at_peak;
  for (const char* phase : {"data", "forward_backward", "reduction", "optimizer"})
    report.phases[phase] = context_.trace.seconds(std::string("phase/") + phase);
  report.phases["checkpoint"] = checkpoint_seconds_;
  return report;
}

bool Trainer::evaluate_now() {
  if (!validation_source_ || validation_source_->num_samples() == 0) return false;
  const auto start = Clock::now();
  if (config_.training.eval_ema) exchange_average();
  const EvaluationResult result = evaluate(context_, rank_->engine(), rank_->mesh(), *validation_source_,
                                           config_.training.micro_batch_size, config_.training.eval_iters);
  if (config_.training.eval_ema) exchange_average();
  set_validation_loss(state_, result.loss);
  if (telemetry_) telemetry_->evaluation(state_.step, result, seconds_since(start));
  const bool best = early_stopping_->observe(state_.step, metrics_of(result));
  if (early_stopping_->is_on()) set_early_stopping(state_, early_stopping_->progress());
  return best;
}

void Trainer::exchange_average() {
  // As long as every step was skipped there is no average yet.
  if (state_.step > rank_->step().scaler().num_skipped()) rank_->exchange_average(context_);
}

void Trainer::save_what_is_due(bool last, bool best) {
  if (last && (best || config_.checkpoint.save_last)) return save(true);
  if (best) {  // not to be skipped because the one before it is still being written
    const auto start = Clock::now();
    conclude(checkpoints_->wait(), Next::kTraining);
    checkpoint_seconds_ += seconds_since(start);
  }
  if (best || (!last && due(config_.checkpoint.save_interval)))
    save(false);
  else
    poll_save();
}

void Trainer::poll_save() {
  const auto start = Clock::now();
  conclude(checkpoints_->poll(), Next::kTraining);
  checkpoint_seconds_ += seconds_since(start);
}

void Trainer::save(bool last) {
  const auto start = Clock::now();
  state_.loss_scaler_json = rank_->step().scaler().to_json();
  if (last)
    conclude(checkpoints_->wait(), Next::kLastSave);
  else
    conclude(checkpoints_->poll_to_commit(), Next::kTraining);
  try {
    if (last || !config_.checkpoint.saves_in_background())
      conclude(checkpoints_->save(context_, state_, rank_->store(), rank_->optimizer().state()),
               Next::kTraining);
    else if (!checkpoints_->start_save(context_, state_, rank_->store(), rank_->optimizer().state()))
      say(fmt::format("step {}  no checkpoint: the one before is still being written", state_.step));
  } catch (const CheckpointError& error) {
    if (last) throw;
    go_on_without({.step = state_.step, .error = error}, Next::kTraining);
  }
  checkpoint_seconds_ += seconds_since(start);
}

void Trainer::conclude(const std::optional<SaveReport>& report, Next next) {
  if (!report) return;
  if (report->error) return go_on_without(*report, next);
  num_failed_saves_ = 0;
  if (telemetry_) telemetry_->save(*report);
}

void Trainer::go_on_without(const SaveReport& failed, Next next) {
  if (telemetry_) telemetry_->save(failed);
  ++num_failed_saves_;
  if (next == Next::kTraining) stop_if_saves_must_not_fail(*failed.error);
  if (world_.rank() == 0)
    log::error("step {}: {}; training goes on without this checkpoint", failed.step, failed.error->what());
}

void Trainer::stop_if_saves_must_not_fail(const CheckpointError& error) const {
  // A disk may have room again at a later save.
  const bool disk =
      error.exit_code() == ExitCode::kInputOutput || error.exit_code() == ExitCode::kCannotCreate;
  if (!disk) throw CheckpointError(error);
  if (config_.checkpoint.on_save_error == OnSaveError::kStop)
    throw CheckpointError(fmt::format("{} (checkpoint.on_save_error: stop)", error.what()),
                          error.exit_code());
  if (num_failed_saves_ > config_.checkpoint.max_failed_saves)
    throw CheckpointError(fmt::format("{} (failed saves in a row: {}; checkpoint.max_failed_saves: {})",
                                      error.what(), num_failed_saves_, config_.checkpoint.max_failed_saves),
                          error.exit_code());
}

bool Trainer::due(int64_t interval) const {
  return interval > 0 && state_.step % interval == 0;
}

void Trainer::say(const std::string& line) const {
  if (world_.rank() != 0) return;
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

}  // namespace trireme
