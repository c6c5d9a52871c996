#include "launcher/train/training_config.h"

#include <array>

namespace trireme {

void TrainingConfig::fields(FieldVisitor& visitor) {
  static constexpr std::array<std::pair<const char*, RecomputeGranularity>, 3> kGranularities = {
      {{"none", RecomputeGranularity::kNone},
       {"full", RecomputeGranularity::kFull},
       {"selective", RecomputeGranularity::kSelective}}};
  visitor.visit({"train_iters", "Optimizer steps of the whole run.", "steps", 1, 1e12}, train_iters);
  visitor.visit(
      {"micro_batch_size", "Samples a rank takes through the model at once.", "samples", 1, 1 << 20},
      micro_batch_size);
  visitor.visit({"global_batch_size",
                 "Samples of one optimizer step over all ranks; 0: one micro-batch a data-parallel rank.",
                 "samples", 0, 1e9},
                global_batch_size);
  visitor.visit({"seed", "Seed of initial weights, dropout and data order.", "", 0}, seed);
  visitor.visit_choice<RecomputeGranularity>(
      {"recompute_granularity",
       "What backward makes again instead of keeping: nothing, all of a layer but its input (full), or the "
       "outputs of norms and activation functions (selective)."},
      recompute_granularity, kGranularities);
  visitor.visit({"recompute_num_layers", "First layers of the model that recompute; 0: all.", "layers", 0},
                recompute_num_layers);
  visitor.visit({"eval_interval", "Steps between evaluations; 0: at the end only.", "steps", 0},
                eval_interval);
  visitor.visit(
      {"eval_iters", "Micro-batches a rank evaluates; 0: every validation window once.", "micro-batches", 0},
      eval_iters);
  visitor.visit({"eval_ema", "Evaluate the moving average of the weights (optimizer.ema_decay)."}, eval_ema);
  visitor.visit(
      {"early_stopping_patience",
       "Evaluations in a row without improvement after which the run ends, exit code 0; the best step's "
       "checkpoint is kept. 0: off.",
       "evaluations", 0},
      early_stopping_patience);
  visitor.visit({"early_stopping_min_delta",
                 "An evaluation improves when it is better than the best by more than this.", "", 0.0},
                early_stopping_min_delta);
  visitor.visit({"early_stopping_metric",
                 "What early stopping looks at: validation_loss, validation_token_accuracy or "
                 "validation_sample_accuracy. Lower is better "
                 "for names with loss or perplexity in them, higher for others."},
                early_stopping_metric);
  visitor.visit({"log_interval", "Steps between lines on the console.", "steps", 1}, log_interval);
  visitor.visit(
      {"max_skipped_steps",
       "Steps in a row whose loss or gradients are not finite that are skipped before the run stops "
       "with exit code 77; fp16 also skips while its loss scale can fall.",
       "steps", 0, 1e12},
      max_skipped_steps);
  visitor.visit({"timeline_step",
                 "Step after the start whose timeline is drawn into output_dir (timeline.svg and, for "
                 "Perfetto, timeline.json); 0: none.",
                 "steps", 0, 1e12},
                timeline_step);
  visitor.visit({"output_dir", "Folder of everything the run writes; empty: runs/<name of the run file>."},
                output_dir);
  visitor.visit({"resume",
                 "auto: go on from the newest checkpoint in output_dir; never; or the path of a "
                 "checkpoint's step folder."},
                resume);
  visitor.visit(
      {"initialize_from",
       "A checkpoint's step folder, or the output folder of a run or an import (then the newest step), whose "
       "weights a new run begins with, at step 0 with a fresh optimizer; empty: none. A run that has a "
       "checkpoint of its own goes on from that."},
      initialize_from);
  visitor.visit(
      {"initialize_only",
       "Shell patterns of the names of weights that initialize_from takes, such as layers.*; others keep "
       "their initial values and the models may differ. Empty: all, and the models must be the same."},
      initialize_only);
  visitor.visit({"num_threads", "OpenMP threads of a rank; 0: the host's cores divided by its ranks.",
                 "threads", 0, 1024},
                num_threads);
  visitor.visit({"peak_tflops", "A rank's peak, the base of MFU; 0: measured with a matrix product at start.",
                 "TFLOP/s", 0},
                peak_tflops);
  visitor.visit({"tensorboard", "Write TensorBoard event files."}, tensorboard);
}

}  // namespace trireme
