#include "parallel/pipeline/engine.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/nn/evaluation_guard.h"

namespace trireme {
namespace {

using Kind = Action::Kind;

/// The parameters of each chunk, by the last of the actions that make their gradients.
std::map<size_t, std::vector<Parameter*>> find_last_gradients(const Model& model, const StagePlan& plan,
                                                              int stage, const std::vector<Action>& actions) {
  std::map<Parameter*, size_t> last;
  for (size_t i = 0; i < actions.size(); ++i)
    if (actions[i].kind == Kind::kBackward || actions[i].kind == Kind::kBackwardWeight)
      for (Parameter* parameter : chunk_parameters(model, plan, stage, actions[i].chunk)) last[parameter] = i;
  std::map<size_t, std::vector<Parameter*>> result;
  for (Parameter* parameter : stage_parameters(model, plan, stage))
    result[last.at(parameter)].push_back(parameter);
  return result;
}

/// A schedule of few micro-batches for the same stages and chunks.
Schedule short_schedule(const StagePlan& plan, int num_micro_batches) {
  const PipelineSchedule kind =
      plan.num_chunks > 1 ? PipelineSchedule::kInterleaved : PipelineSchedule::k1f1b;
  return make_schedule(kind, plan.num_stages, plan.num_chunks, num_micro_batches);
}

bool is_forward_work(const Action& action) {
  return action.kind == Kind::kForward || action.kind == Kind::kSendForward ||
         action.kind == Kind::kReceiveForward;
}

}  // namespace

PipelineEngine::PipelineEngine(Context& context, Mesh& mesh, Model& model, StagePlan plan, Schedule schedule,
                               DType activation)
    : context_(context),
      mesh_(mesh),
      model_(model),
      plan_(std::move(plan)),
      schedule_(std::move(schedule)),
      activation_(activation) {
  TRIREME_ASSERT(schedule_.num_stages == plan_.num_stages && schedule_.num_chunks == plan_.num_chunks &&
                     plan_.num_stages == mesh_.shape().size(Axis::kPipeline),
                 "the schedule, the plan and the mesh have different stages");
  last_gradients_ =
      find_last_gradients(model_, plan_, mesh_.coordinate(Axis::kPipeline), actions_of(schedule_));
}

const std::vector<Action>& PipelineEngine::actions_of(const Schedule& schedule) const {
  return schedule.stages[static_cast<size_t>(mesh_.coordinate(Axis::kPipeline))];
}

void PipelineEngine::run(std::vector<ForwardPass>& passes, const BeforeLast& before_last) {
  TRIREME_ASSERT(static_cast<int>(passes.size()) == schedule_.num_micro_batches,
                 "the schedule is for another number of micro-batches");
  Outbox outbox;
  Execution execution(context_, mesh_, model_, plan_, activation_, passes, outbox);
  execution.run(actions_of(schedule_), [&](size_t place) {
    const auto found = last_gradients_.find(place);
    if (found != last_gradients_.end()) before_last(found->second);
  });
  outbox.wait_all();
  timeline_ = execution.take_events();
}

void PipelineEngine::run_one(ForwardPass& pass) {
  std::vector<ForwardPass> passes = {pass};
  Outbox outbox;
  Execution execution(context_, mesh_, model_, plan_, activation_, passes, outbox);
  execution.run(actions_of(short_schedule(plan_, 1)), {});
  outbox.wait_all();
  pass.losses = passes[0].losses;
}

PerTerm<LossSum> PipelineEngine::evaluate(int64_t num_batches, const std::function<Batch()>& next) {
  const EvaluationGuard evaluation(context_);
  PerTerm<LossSum> total{};
  Outbox outbox;
  for (int64_t done = 0; done < num_batches;) {
    const auto count = std::min<int64_t>(plan_.num_stages, num_batches - done);
    std::vector<Batch> batches;
    std::vector<ForwardPass> passes;
    for (int64_t i = 0; i < count; ++i) batches.push_back(next());
    for (const Batch& batch : batches) passes.push_back({.batch = batch});
    std::vector<Action> actions = actions_of(short_schedule(plan_, static_cast<int>(count)));
    actions.erase(std::remove_if(actions.begin(), actions.end(), std::not_fn(is_forward_work)),
                  actions.end());
    Execution(context_, mesh_, model_, plan_, activation_, passes, outbox).run(actions, {});
    const PerTerm<LossSum> share = share_of(passes);
    for (size_t term = 0; term < kNumLossTerms; ++term) total.at(term) += share.at(term);
    done += count;
  }
  outbox.wait_all();
  return total;
}

PerTerm<LossSum> PipelineEngine::share_of(const std::vector<ForwardPass>& passes) const {
  PerTerm<LossSum> share{};
  if (mesh_.coordinate(Axis::kTensor) != 0) return share;
  for (const ForwardPass& pass : passes)
    for (size_t term = 0; term < kNumLossTerms; ++term) share.at(term) += pass.losses.at(term);
  return share;
}

}  // namespace trireme
