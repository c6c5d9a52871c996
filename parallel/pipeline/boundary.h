#pragma once

#include "core/tensor/context.h"
#include "parallel/comm/communicator.h"
#include "parallel/pipeline/outbox.h"

namespace trireme {

/// Tensors that arrive from a neighbouring stage.
class Incoming {
 public:
  /// Makes room for activations of these shapes and starts to receive them.
  Incoming(Context& context, Communicator& pipeline, const std::vector<Shape>& shapes, DType dtype,
           int source, int tag);
  std::vector<Tensor> wait();

 private:
  std::vector<Tensor> tensors_;
  std::vector<std::unique_ptr<Work>> works_;
};

/// Starts to send activations: whole padded rows as one flat message, so nothing is copied.
void send_boundary(Context& context, Communicator& pipeline, const std::vector<Tensor>& tensors,
                   int destination, int tag, Outbox& outbox);

}  // namespace trireme
