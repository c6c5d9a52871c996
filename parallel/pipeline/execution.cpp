#include "parallel/pipeline/execution.h"

#include "core/base/check.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

using Kind = Action::Kind;

/// Tags repeat after this many transfers of a kind; messages of one tag keep their order.
constexpr int kTagsOfADirection = 8192;

bool is_send(Kind kind) {
  return kind == Kind::kSendForward || kind == Kind::kSendBackward;
}
bool goes_backward(Kind kind) {
  return kind == Kind::kSendBackward || kind == Kind::kReceiveBackward;
}

double now() {
  return std::chrono::duration<double>(Execution::Clock::now().time_since_epoch()).count();
}

std::vector<Tensor> take_values(std::vector<Variable>& variables) {
  std::vector<Tensor> values;
  for (Variable& variable : variables) values.push_back(variable.take_value());
  return values;
}

}  // namespace

Execution::Execution(Context& context, Mesh& mesh, Model& model, const StagePlan& plan, DType activation,
                     std::vector<ForwardPass>& passes, Outbox& outbox)
    : context_(context),
      mesh_(mesh),
      model_(model),
      plan_(plan),
      activation_(activation),
      passes_(passes),
      outbox_(outbox),
      slots_(passes.size() * static_cast<size_t>(plan.num_chunks)) {}

Execution::Slot& Execution::slot(int micro_batch, int chunk) {
  return slots_[static_cast<size_t>(micro_batch) * static_cast<size_t>(plan_.num_chunks) +
                static_cast<size_t>(chunk)];
}

int Execution::virtual_stage(const Action& action) const {
  return plan_.virtual_stage(mesh_.coordinate(Axis::kPipeline), action.chunk);
}

/// A transfer is named by the virtual stage below its boundary, on both sides alike.
Execution::Peer Execution::peer(const Action& transfer) const {
  const int here = virtual_stage(transfer);
  const bool above = transfer.kind == Kind::kSendForward || transfer.kind == Kind::kReceiveBackward;
  const int other = above ? here + 1 : here - 1;
  const int number = transfer.micro_batch * plan_.num_virtual_stages() + std::min(here, other);
  return {other % plan_.num_stages, number % kTagsOfADirection * 2 + (goes_backward(transfer.kind) ? 1 : 0)};
}

void Execution::run(const std::vector<Action>& actions, const std::function<void(size_t)>& before) {
  events_.reserve(actions.size());
  post_receives(actions, 0);
  for (size_t i = 0; i < actions.size(); ++i) {
    const Action& action = actions[i];
    if (!is_receive(action.kind) && !is_send(action.kind)) post_receives(actions, i + 1);
    if (before) before(i);
    const double begin = now();
    carry_out(action, i);
    events_.push_back({mesh_.world().rank(), mesh_.coordinate(Axis::kPipeline), action, begin, now()});
  }
}

void Execution::post_receives(const std::vector<Action>& actions, size_t begin) {
  for (size_t i = begin; i < actions.size(); ++i) {
    const Action& action = actions[i];
    if (is_send(action.kind)) continue;
    if (!is_receive(action.kind)) break;
    const Peer from = peer(action);
    // A forward message enters this virtual stage's first block; a backward one is the gradient of what
    // enters the next stage's.
    const auto [begin_block, end_block] = plan_.blocks[static_cast<size_t>(virtual_stage(action))];
    const size_t block = action.kind == Kind::kReceiveForward ? begin_block : end_block;
    incoming_.try_emplace(i, context_, mesh_.pipeline(), model_.boundary_shapes(pass(action).batch, block),
                          activation_, from.stage, from.tag);
  }
  outbox_.release_done();
}

void Execution::carry_out(const Action& action, size_t index) {
  Slot& slot = this->slot(action);
  switch (action.kind) {
    case Kind::kReceiveForward:
    case Kind::kReceiveBackward:
      slot.arrived = incoming_.at(index).wait();
      incoming_.erase(index);
      break;
    case Kind::kSendForward:
    case Kind::kSendBackward: {
      const Peer to = peer(action);
      const std::vector<Tensor> tensors =
          action.kind == Kind::kSendForward ? take_values(slot.outputs) : input_gradients(slot);
      send_boundary(context_, mesh_.pipeline(), tensors, to.stage, to.tag, outbox_);
      break;
    }
    case Kind::kForward:
      forward(action);
      break;
    case Kind::kBackward:
      backward(action, false);
      break;
    case Kind::kBackwardInput:
      backward(action, true);
      break;
    case Kind::kBackwardWeight: {
      const GradModeGuard no_grad(context_, false);
      slot.weight_gradients.drain(context_);
      break;
    }
  }
}

void Execution::forward(const Action& action) {
  Slot& slot = this->slot(action);
  const int stage = virtual_stage(action);
  if (stage > 0 && plan_.num_stages == 1)
    slot.arrived = take_values(this->slot(action.micro_batch, action.chunk - 1).outputs);
  for (Tensor& value : slot.arrived)
    slot.inputs.push_back(context_.grad_enabled ? Variable::leaf(context_, std::move(value))
                                                : Variable(std::move(value)));
  slot.arrived.clear();
  slot.outputs = slot.inputs;
  const auto [begin, end] = plan_.blocks[static_cast<size_t>(stage)];
  for (size_t i = begin; i < end; ++i) {
    slot.outputs = model_.blocks()[i]->forward(context_, pass(action), slot.outputs);
    if (context_.progress) context_.progress();
  }
  if (!context_.grad_enabled) slot.inputs.clear();
}

void Execution::backward(const Action& action, bool split) {
  Slot& slot = this->slot(action);
  if (plan_.is_last(virtual_stage(action))) {
    const Tensor& loss = slot.outputs[0].value();
    slot.arrived = {context_.workspace(loss.shape(), loss.dtype())};
    ops::fill(context_, slot.arrived[0], 1.0);
  } else if (plan_.num_stages == 1) {
    slot.arrived = input_gradients(this->slot(action.micro_batch, action.chunk + 1));
  }
  std::vector<std::pair<Variable, Tensor>> roots;
  for (size_t i = 0; i < slot.outputs.size(); ++i)
    roots.emplace_back(std::move(slot.outputs[i]), std::move(slot.arrived[i]));
  slot.outputs.clear();
  slot.arrived.clear();
  context_.weight_gradients.delayed = split;
  trireme::backward(context_, std::move(roots));
  slot.weight_gradients = std::exchange(context_.weight_gradients, {});
}

std::vector<Tensor> Execution::input_gradients(Slot& slot) {
  std::vector<Tensor> gradients;
  for (const Variable& input : slot.inputs) {
    gradients.push_back(input.gradient());
    if (gradients.back().defined()) continue;
    gradients.back() = context_.activation(input.value().shape(), input.value().dtype());
    ops::fill(context_, gradients.back(), 0.0);
  }
  slot.inputs.clear();
  return gradients;
}

}  // namespace trireme
