#include "parallel/verify/trace.h"

#include "parallel/comm/thread_communicator.h"
#include "parallel/verify/made_up_batch.h"

namespace trireme::verify {

namespace {

WholeTensors::Values without_loss_scale(WholeTensors::Values gradients, double loss_scale) {
  for (std::vector<double>& tensor : gradients)
    for (double& value : tensor) value /= loss_scale;
  return gradients;
}

}  // namespace

Trace run_case(const VerifyCase& layout, Communicator& world, const RunHooks& hooks) {
  Context context;
  TrainingRank rank(context, world, layout.rank);
  WholeTensors whole(context, rank);
  Trace trace;
  trace.precision = layout.rank.precision.dtype;
  trace.names = whole.names();
  // How much padding there is depends on the micro-batch where windows are not whole.
  const bool whole_windows = layout.rank.parallel.sequence_parallel || layout.rank.model.batch_norm_padding;
  const MadeUpSamples made_up{layout.rank.model, layout.rank.seq_length, layout.packed_documents,
                              layout.hidden_tokens, whole_windows};
  if (hooks.before) hooks.before(context, world, rank);
  for (int64_t step = layout.first_step; step < layout.first_step + layout.num_steps; ++step) {
    int64_t index = 0;
    const auto next = [&] {
      const std::vector<int64_t> samples = rank.samples().micro_batch(
          (step - 1) * layout.rank.global_batch_size, rank.mesh().data().rank(), index++);
      return make_batch(context, samples, made_up);
    };
    const StepResult result = rank.step().run(step, next, layout.lr, false);
    trace.steps.push_back({result.loss, result.grad_norm, result.skipped,
                           without_loss_scale(whole.gradients(), result.loss_scale)});
  }
  if (hooks.after) hooks.after(context, world, rank);
  trace.weights = whole.weights();
  trace.values = whole.values();
  trace.problems = whole.problems();
  return world.rank() == 0 ? trace : Trace{};
}

Trace run_on_threads(const VerifyCase& layout, const RunHooks& hooks) {
  Trace trace;
  comm::run_thread_ranks(layout.num_ranks, [&](Communicator& world) {
    Trace mine = run_case(layout, world, hooks);
    if (world.rank() == 0) trace = std::move(mine);
  });
  return trace;
}

}  // namespace trireme::verify
